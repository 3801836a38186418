/** Texts that nobody has published yet. They outlive the screen, not the page: the browser asks before it goes. */
import { useEffect, useState } from "react";

export type Draft = {
  text: string;
  /** The version and the content that it began from. "0": a new configuration. */
  version: string;
  base: string;
};

const drafts = new Map<string, Draft>();

window.addEventListener("beforeunload", (event) => {
  if (drafts.size) event.preventDefault();
});

/** Return the draft of a configuration, and functions that keep and drop it. */
export function useDraft(key: string, began: Draft): [Draft, (draft: Draft) => void, () => void] {
  const [draft, setDraft] = useState(() => drafts.get(key) ?? began);
  useEffect(() => {
    if (draft.text === draft.base) drafts.delete(key);
    else drafts.set(key, draft);
  }, [key, draft]);
  return [draft, setDraft, () => drafts.delete(key)];
}

export function hasDraft(key: string): boolean {
  return drafts.has(key);
}

export function draftKey(application: string, name: string): string {
  return `${application}\n${name}`;
}

/** Put a text into the draft of a configuration that is not shown now. */
export function keepDraft(application: string, name: string, draft: Draft): void {
  drafts.set(draftKey(application, name), draft);
}
