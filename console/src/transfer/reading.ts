/** Files that somebody wants to import, read into items of an import. Contents stay as they are written. */
import { isObject } from "../configuration/content";
import { partsOf } from "../parts/exact";

export type Item = {
  /** The name of its application, or its id; empty if the file does not say it. */
  application: string;
  name: string;
  /** The application as JSON; empty if the file does not say it. */
  applicationText: string;
  /** Its other members as JSON, without the braces. */
  rest: string;
};

export type ReadFile = { file: string; items: readonly Item[]; faults: readonly string[] };

const MEMBERS = ["application", "name", "comments", "config", "schema", "expected_version"];
const FRAME = ["items", "configurations", "revision", "epoch"];
const MOST_FAULTS = 20;

/** Read the text of a file: an export, or the content of one configuration, which is named as the file is. */
export function readText(file: string, text: string): ReadFile {
  if (!text.trim()) return { file, items: [], faults: ["It is empty."] };
  const whole = parsed(text);
  if ("value" in whole) {
    if (isExport(whole.value) || Array.isArray(whole.value))
      return collected(file, [["", text, whole.value]]);
    if (isObject(whole.value)) return { file, items: [contentItem(file, text)], faults: [] };
    return { file, items: [], faults: ["It has neither a JSON object nor an export."] };
  }
  const lines = text.split("\n").map((line, index): [string, string] => [`line ${index + 1}: `, line]);
  const full = lines.filter(([, line]) => line.trim());
  const first = parsed(full[0]?.[1] ?? "");
  // Not lines: then the fault of the whole says more.
  if (full.length < 2 || "fault" in first) return { file, items: [], faults: [whole.fault] };
  return collected(
    file,
    full.map(([place, line]) => {
      const read = parsed(line);
      return [place, line, "value" in read ? read.value : new SyntaxError(read.fault)];
    }),
  );
}

type Line = readonly [place: string, text: string, value: unknown];

function collected(file: string, lines: readonly Line[]): ReadFile {
  const items: Item[] = [];
  const faults: string[] = [];
  for (const [place, text, value] of lines) {
    const fault = faultOfLine(value);
    if (fault) {
      faults.push(place + fault);
      continue;
    }
    for (const [index, one] of itemTexts(text).entries()) {
      const read = itemOf(one);
      if (typeof read === "string") faults.push(`${place}item ${index + 1}: ${read}`);
      else items.push(read);
    }
  }
  return { file, items, faults: faults.slice(0, MOST_FAULTS) };
}

function faultOfLine(value: unknown): string {
  if (value instanceof SyntaxError) return value.message;
  if (isObject(value) && "error" in value) {
    return "This export failed before its end: it is not complete. Export again.";
  }
  return isExport(value) || Array.isArray(value) ? "" : "It is no line of an export.";
}

/** Return whether a value is a line of an export by the API, or an export by the command line. */
function isExport(value: unknown): boolean {
  if (!isObject(value)) return false;
  if ("error" in value && Object.keys(value).length === 1)
    return isObject(value.error) && "code" in value.error;
  const listed = value.items ?? value.configurations;
  if (!Array.isArray(listed) || Object.keys(value).some((name) => !FRAME.includes(name))) return false;
  // A content may have a member of that name, too.
  if (!listed.length) return "revision" in value;
  return listed.every((one) => isObject(one) && "application" in one && "name" in one && "config" in one);
}

function itemTexts(text: string): string[] {
  const isList = text.trimStart().startsWith("[");
  const list = isList
    ? text
    : partsOf(text).find((one) => one.name === "items" || one.name === "configurations")?.text;
  return partsOf(list ?? "[]").map((one) => one.text);
}

/** Return an item, or what is wrong with it. */
function itemOf(text: string): Item | string {
  if (!text.startsWith("{")) return "It is not a JSON object.";
  const members = partsOf(text);
  const unknown = members.find((one) => !MEMBERS.includes(one.name));
  if (unknown) return `It has an unknown member, ${unknown.name}.`;
  const member = (name: string) => members.find((one) => one.name === name)?.text;
  const application = applicationOf(member("application"));
  const name: unknown = JSON.parse(member("name") ?? "null");
  if (!application || typeof name !== "string" || member("config") === undefined) {
    return "It needs application, name and config.";
  }
  const rest = members.filter((one) => one.name !== "application");
  return { ...application, name, rest: written(rest) };
}

function applicationOf(text: string | undefined) {
  const value: unknown = JSON.parse(text ?? "null");
  // As the command line writes it.
  if (typeof value === "string") {
    return { application: value, applicationText: JSON.stringify({ name: value }) };
  }
  const named = isObject(value) ? (value.name ?? value.id) : undefined;
  return typeof named === "string" ? { application: named, applicationText: text ?? "" } : undefined;
}

function contentItem(file: string, text: string): Item {
  const name = file.replace(/\.json$/i, "");
  const rest = written([
    { name: "name", text: JSON.stringify(name) },
    { name: "config", text },
  ]);
  return { application: "", applicationText: "", name, rest };
}

// A message is a line: JSON has line ends only between its tokens.
function written(members: readonly { name: string; text: string }[]): string {
  return members
    .map((one) => `${JSON.stringify(one.name)}:${one.text.replace(/[\r\n]+/g, " ").trim()}`)
    .join(",");
}

function parsed(text: string): { value: unknown } | { fault: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { fault: `It is not JSON: ${(error as Error).message}` };
  }
}

const MOST_ITEMS = 1000;
// Of at most 3 bytes each: a line has at most 4 MiB.
const MOST_CHARACTERS = 1_000_000;

/** Return the items as lines of an import. `application`: that of items whose file does not say it. */
export function linesOf(items: readonly Item[], application: string): string[] {
  const lines: string[] = [];
  const own = JSON.stringify({ name: application });
  let line: string[] = [];
  let size = 0;
  const flush = () => {
    if (line.length) lines.push(`{"items":[${line.join(",")}]}\n`);
    line = [];
    size = 0;
  };
  for (const item of items) {
    const text = `{"application":${item.applicationText || own},${item.rest}}`;
    if (line.length === MOST_ITEMS || size + text.length > MOST_CHARACTERS) flush();
    line.push(text);
    size += text.length;
  }
  flush();
  return lines;
}

/** Return the names that stand more than once, with the files that they are in. */
export function twice(files: readonly ReadFile[], application: string): string[] {
  const known = new Map<string, string>();
  const found: string[] = [];
  for (const { file, items } of files) {
    for (const item of items) {
      const name = `${item.application || application}/${item.name}`;
      const other = known.get(name);
      if (other !== undefined) found.push(`${name} stands twice: in ${other} and in ${file}.`);
      known.set(name, file);
    }
  }
  return found;
}
