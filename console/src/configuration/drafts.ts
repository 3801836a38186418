/** Texts that nobody has published yet. They outlive the screen, not the page: the browser asks before it goes. */
import { useEffect, useState } from "react";
import { isSameText } from "./content";
import type { New } from "./writes";

export type Draft = {
  text: string;
  /** The version and the content that it began from. "0": a new configuration. */
  version: string;
  base: string;
  /** What else was typed for a new configuration. */
  made?: New;
};

const drafts = new Map<string, Draft>();

window.addEventListener("beforeunload", (event) => {
  if (drafts.size) event.preventDefault();
});

/**
 * Return the draft of a configuration, and what keeps and drops it.
 *
 * As long as nothing is changed, it is what it would begin from now. `isSame`: whether two texts are the same; by
 * default if their contents are.
 */
export function useDraft(key: string, began: Draft, isSame: (a: string, b: string) => boolean = isSameText) {
  const [typed, setTyped] = useState(() => drafts.get(key));
  const isChanged = typed !== undefined && !isSame(typed.text, typed.base);
  const isKept = isChanged || (typed?.made !== undefined && typed.made !== began.made);
  const draft = typed && (isKept || typed.version === began.version) ? typed : began;
  useEffect(() => {
    if (typed && isKept) drafts.set(key, typed);
    else drafts.delete(key);
  }, [key, typed, isKept]);
  return {
    draft,
    isChanged,
    setDraft: setTyped,
    dropDraft: () => {
      drafts.delete(key);
      setTyped(undefined);
    },
  };
}

export function draftOf(application: string, name: string): Draft | undefined {
  return drafts.get(draftKey(application, name));
}

export function hasDraft(key: string): boolean {
  return drafts.has(key);
}

export function draftKey(application: string, name: string): string {
  return `${application}\n${name}`;
}
