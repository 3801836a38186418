/** Return a duration of the API, such as 0.012s, as people read it. */
export function lagText(duration: string | undefined): string {
  const seconds = Number.parseFloat(duration ?? "");
  if (Number.isNaN(seconds)) return "unknown";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds.toFixed(1)} s`;
}

type Selector = {
  application?: { id?: string; name?: string };
  name_prefix?: string;
  names?: string[];
};

const MOST_NAMES = 5;

/** Return what a selector of a watch selects. */
export function selectorText(selector: Selector): string {
  const application = selector.application?.name || selector.application?.id || "*";
  const names = selector.names ?? [];
  if (names.length) {
    const shown = names.slice(0, MOST_NAMES).map((name) => `${application}/${name}`);
    return [...shown, ...(names.length > MOST_NAMES ? [`and ${names.length - MOST_NAMES} more`] : [])].join(
      ", ",
    );
  }
  return `${application}/${selector.name_prefix ?? ""}*`;
}
