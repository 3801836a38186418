/** JSON as text. Numbers stay as they are written: JavaScript would round those of more than 53 bits. */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
const STEP = "  ";

export type Part = {
  /** The name of a member; empty for an element of an array. */
  name: string;
  text: string;
};

/** Return the members of an object, or the elements of an array, as text. It must be JSON. */
export function partsOf(text: string): Part[] {
  const found: Part[] = [];
  let depth = 0;
  let start = -1;
  let name = "";
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    if (depth === 1 && token === ":") {
      name = JSON.parse(text.slice(start, index)) as string;
      start = -1;
    } else if (depth === 1 && (token === "," || closes)) {
      if (start >= 0) found.push({ name, text: text.slice(start, index).trim() });
      name = "";
      start = -1;
    } else if (depth >= 1 && start < 0) {
      start = index;
    }
    if (token === "{" || token === "[") depth += 1;
    if (closes) depth -= 1;
  }
  return found;
}

/** Return the text of a member; undefined if there is none. */
export function memberOf(text: string, name: string): string | undefined {
  return partsOf(text).find((one) => one.name === name)?.text;
}

/** Return the same JSON as people read it. */
export function indented(text: string): string {
  const tokens = text.match(TOKEN) ?? [];
  const parts: string[] = [];
  let depth = 0;
  const line = () => `\n${STEP.repeat(depth)}`;
  for (const [index, token] of tokens.entries()) {
    const isEmpty = /^[{[]$/.test(tokens[index - 1] ?? "");
    if (token === "{" || token === "[") {
      depth += 1;
      parts.push(token, /^[}\]]$/.test(tokens[index + 1] ?? "") ? "" : line());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      parts.push(isEmpty ? "" : line(), token);
    } else if (token === ",") parts.push(token, line());
    else parts.push(token === ":" ? ": " : token);
  }
  return `${parts.join("")}\n`;
}

/** Return the JSON of an object with a member whose value is given as text. */
export function withText(object: object, name: string, text: string): string {
  const rest = JSON.stringify({ ...object, [name]: undefined }).slice(1);
  return `{${JSON.stringify(name)}:${text}${rest === "}" ? "" : ","}${rest}`;
}
