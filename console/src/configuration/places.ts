/** The places of values in a JSON text, which may be broken. */
import { jsonLanguage } from "@codemirror/lang-json";
import { pathOf } from "./content";

export type Place = { from: number; to: number };

export type Node = ReturnType<typeof jsonLanguage.parser.parse>["topNode"];

const PUNCTUATION = ["[", "]", "{", "}", ",", ":"];
const ERROR = "⚠";

/** Return the node of the value that a text has. */
export function rootOf(text: string): Node | null {
  return jsonLanguage.parser.parse(text).topNode.firstChild;
}

/** Return the places of the values at pointers, with their names; of the nearest value around one that is not there. */
export function placesOf(text: string, pointers: readonly string[]): Place[] {
  const root = pointers.length ? rootOf(text) : null;
  return pointers.map((pointer) => (root ? placeIn(root, text, pointer) : { from: 0, to: 0 }));
}

function placeIn(root: Node, text: string, pointer: string): Place {
  let node = root;
  let place: Place = { from: node.from, to: Math.min(node.to, node.from + 1) };
  for (const part of pathOf(pointer)) {
    const found = memberOf(node, part, text);
    if (!found) return place;
    place = { from: found.from, to: found.value.to };
    node = found.value;
  }
  return place;
}

/** Return the member of an object, or the item of an array. Of members with one name, it is the last one that counts. */
export function memberOf(node: Node, part: string, text: string): { from: number; value: Node } | undefined {
  if (node.name === "Object") {
    for (const property of node.getChildren("Property").reverse()) {
      const name = property.firstChild;
      const value = property.lastChild;
      if (name && value && nameOf(text.slice(name.from, name.to)) === part) return { from: name.from, value };
    }
  }
  if (node.name === "Array" && /^\d+$/.test(part)) {
    const value = itemsOf(node)[Number(part)];
    if (value) return { from: value.from, value };
  }
  return undefined;
}

function itemsOf(node: Node): Node[] {
  const found: Node[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (child.name !== ERROR && !PUNCTUATION.includes(child.name)) found.push(child);
  }
  return found;
}

function nameOf(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text;
  }
}

/** Return where a text stops to be JSON. `message`: that of JSON.parse, which says it in some browsers, for some faults. */
export function syntaxPlace(text: string, message: string): number {
  const position = /position (\d+)/.exec(message);
  if (position) return Number(position[1]);
  const [, line, column] = /line (\d+) column (\d+)/.exec(message) ?? [];
  if (line && column) {
    const before = text.split("\n").slice(0, Number(line) - 1);
    return before.reduce((length, one) => length + one.length + 1, 0) + Number(column) - 1;
  }
  return firstError(text) ?? text.length;
}

function firstError(text: string): number | undefined {
  let found: number | undefined;
  jsonLanguage.parser.parse(text).iterate({
    enter(node) {
      if (found === undefined && node.type.isError) found = node.from;
      return found === undefined;
    },
  });
  return found === undefined ? undefined : found + (/^\s*/.exec(text.slice(found))?.[0].length ?? 0);
}
