/** Files to import: exports of this service, and plain contents. */
import { isObject, type Json, type JsonObject } from "../configuration/content";

export type Item = {
  application?: { name: string };
  name?: string;
  config: JsonObject;
  [field: string]: unknown;
};

/** What a file has, or why it cannot be read. */
export type Found = { file: string; items: Item[]; fault: string };

/** Return what a file has: the items of an export, one message or item a line, or one content named like the file. */
export function itemsOf(file: string, text: string): Found {
  try {
    if (/\.(nd|l)?jsonl?$|\.ndjson$|\.jsonl$/i.test(file) && isLines(text))
      return { file, items: fromLines(text), fault: "" };
    const value = JSON.parse(text) as Json;
    if (!isObject(value)) return { file, items: [], fault: "a content is a JSON object" };
    return { file, items: fromValue(value, nameOf(file)), fault: "" };
  } catch (error) {
    return {
      file,
      items: [],
      fault: error instanceof LineError ? error.message : `this is not JSON: ${(error as Error).message}`,
    };
  }
}

class LineError extends Error {}

function isLines(text: string): boolean {
  const lines = text.split("\n").filter((line) => line.trim());
  if (!lines.length) return false;
  try {
    JSON.parse(lines[0] ?? "");
    return lines.length > 1 || isMessage(JSON.parse(lines[0] ?? ""));
  } catch {
    return false;
  }
}

function fromLines(text: string): Item[] {
  const items: Item[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new LineError(`line ${index + 1} is not JSON: ${(error as Error).message}`);
    }
    if (!isObject(value)) throw new LineError(`line ${index + 1} is not a JSON object`);
    if (isObject(value.error))
      throw new LineError(`the export failed before it was whole: ${String(value.error.message)}`);
    items.push(...fromValue(value, ""));
  }
  return items;
}

function fromValue(value: JsonObject, name: string): Item[] {
  if (isMessage(value)) return (value.items as JsonObject[]).map((one) => one as Item);
  if (isItem(value)) return [value as Item];
  if (!name) throw new LineError("a line is neither an export's message nor an item with its config");
  return [{ name, config: value }];
}

function isMessage(value: unknown): boolean {
  return isObject(value) && Array.isArray(value.items) && value.items.every(isItem);
}

function isItem(value: unknown): boolean {
  return (
    isObject(value) &&
    isObject(value.config) &&
    (typeof value.name === "string" || isObject(value.application))
  );
}

function nameOf(file: string): string {
  return file.replace(/\.[^.]+$/, "");
}

const ITEMS_A_MESSAGE = 200;

/** Return the lines of an import, each with some of the items. */
export function linesOf(items: readonly Item[], application: string): string[] {
  const lines: string[] = [];
  for (let first = 0; first < items.length; first += ITEMS_A_MESSAGE) {
    const some = items.slice(first, first + ITEMS_A_MESSAGE);
    lines.push(`${JSON.stringify({ items: some.map((one) => withApplication(one, application)) })}\n`);
  }
  return lines;
}

function withApplication(item: Item, application: string): Item {
  return application ? { ...item, application: { name: application } } : item;
}
