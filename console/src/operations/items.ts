/** Operations as they are shown. */
import type { Model } from "../api/client";
import { indented, memberOf, partsOf } from "../parts/exact";

/** An item, with its contents as text. */
export type Item = Omit<Model["OperationItem"], "before" | "after"> & {
  before: string | undefined;
  after: string | undefined;
};
export type Page = { items: Item[]; next: string | undefined };

/** Return a page of items in an answer, whose contents keep every digit. */
export function pageOf(answer: string): Page {
  const { items = [], next_page_token: next } = JSON.parse(answer) as Model["ListOperationItemsResponse"];
  const texts = partsOf(memberOf(answer, "items") ?? "[]");
  return { items: items.map((one, index) => withContents(one, texts[index]?.text ?? "{}")), next };
}

function withContents(item: Model["OperationItem"], text: string): Item {
  const contents = new Map(partsOf(text).map((one) => [one.name, one.text]));
  const content = (name: "before" | "after") => {
    const found = contents.get(name);
    return item[name] && found ? indented(found) : undefined;
  };
  return { ...item, before: content("before"), after: content("after") };
}

type State = Model["OperationMetadata.State"];

export const STATES: readonly (readonly [State, string])[] = [
  ["STATE_PENDING", "waiting"],
  ["STATE_RUNNING", "running"],
  ["STATE_CANCELLING", "ending, as somebody cancelled it"],
  ["STATE_SUCCEEDED", "succeeded"],
  ["STATE_FAILED", "failed"],
  ["STATE_CANCELLED", "cancelled"],
];

export function stateName(state: string | undefined): string {
  return STATES.find(([value]) => value === state)?.[1] ?? "";
}

const KINDS: Readonly<Record<string, string>> = {
  KIND_IMPORT_CONFIGURATIONS: "import",
  KIND_MIGRATE_CONFIGURATIONS: "migration",
};

export function kindName(metadata: Model["OperationMetadata"] | undefined): string {
  const kind = KINDS[metadata?.kind ?? ""] ?? "operation";
  return metadata?.validate_only ? `${kind}, dry run` : kind;
}

const OUTCOMES: Readonly<Record<string, readonly [string, string]>> = {
  CHANGE_TYPE_CREATED: ["created", "would be created"],
  CHANGE_TYPE_UPDATED: ["changed", "would be changed"],
};

export function outcomeOf(item: Pick<Item, "error" | "type">, isDryRun: boolean): string {
  if (item.error) return "failed";
  return OUTCOMES[item.type ?? ""]?.[isDryRun ? 1 : 0] ?? "no change needed";
}

/** Return the ULID in the name of an operation. */
export function idOf(operation: Model["Operation"]): string {
  return (operation.name ?? "").replace(/^operations\//, "");
}
