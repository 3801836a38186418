import { isObject, type JsonObject } from "./content";
import { syntaxPlace } from "./places";

/** Return the object that a text has, or what is wrong with it and where. */
export function parsed(text: string): { content: JsonObject } | { fault: string; at: number } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    return { fault: `This is not JSON: ${message}`, at: syntaxPlace(text, message) };
  }
  if (!isObject(value)) return { fault: "A content is a JSON object: it begins with {", at: 0 };
  return { content: value };
}
