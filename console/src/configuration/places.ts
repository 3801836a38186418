/** The places of JSON Pointers in a text. */
import { jsonLanguage } from "@codemirror/lang-json";
import { pathOf } from "./content";

export type Place = { from: number; to: number };

type Node = ReturnType<typeof jsonLanguage.parser.parse>["topNode"];

/** Return the place of the value at a pointer, with its name; of the nearest value around it if it is not there. */
export function placeOf(text: string, pointer: string): Place {
  let node = jsonLanguage.parser.parse(text).topNode.firstChild;
  if (!node) return { from: 0, to: 0 };
  let place: Place = { from: node.from, to: Math.min(node.to, node.from + 1) };
  for (const part of pathOf(pointer)) {
    const found = memberOf(node, part, text);
    if (!found) return place;
    place = { from: found.from, to: found.value.to };
    node = found.value;
  }
  return place;
}

function memberOf(node: Node, part: string, text: string): { from: number; value: Node } | undefined {
  if (node.name === "Object") {
    for (const property of node.getChildren("Property")) {
      const name = property.firstChild;
      const value = property.lastChild;
      if (name && value && nameOf(text.slice(name.from, name.to)) === part) return { from: name.from, value };
    }
  }
  if (node.name === "Array" && /^\d+$/.test(part)) {
    const values = children(node).filter((one) => !["[", "]", ",", "⚠"].includes(one.name));
    const value = values[Number(part)];
    if (value) return { from: value.from, value };
  }
  return undefined;
}

function children(node: Node): Node[] {
  const found: Node[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) found.push(child);
  return found;
}

function nameOf(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text;
  }
}
