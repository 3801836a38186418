/** Keys of all screens. None works while somebody types, and none needs a modifier. */
import { useEffect } from "react";
import { go } from "./location";
import { to } from "./routes";

/** The keys, for the help. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["/", "Search"],
  ["e", "Edit the configuration or schema that is shown"],
  ["?", "Show this help"],
  ["g c", "Go to the configurations"],
  ["g s", "Go to the schemas"],
  ["g a", "Go to the audit"],
  ["g o", "Go to the operations"],
  ["Esc", "Close a dialog"],
];

const SCREENS: Readonly<Record<string, () => string>> = {
  c: () => to.configurations(),
  s: to.schemas,
  a: () => to.audit(),
  o: () => to.operations(),
};
const SEQUENCE_MILLISECONDS = 1500;

export function useShortcuts({ onHelp }: { onHelp: () => void }): void {
  useEffect(() => {
    let goPressed = 0;
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      if (document.querySelector("dialog[open]")) return;
      if (Date.now() - goPressed < SEQUENCE_MILLISECONDS) {
        goPressed = 0;
        const screen = SCREENS[event.key];
        if (screen) go(screen());
        return;
      }
      if (event.key === "g") goPressed = Date.now();
      else if (event.key === "?") onHelp();
      else if (event.key === "/") search(event);
      // The screen that can be edited marks its link.
      else if (event.key === "e") document.querySelector<HTMLElement>("[data-key-edit]")?.click();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [onHelp]);
}

function search(event: KeyboardEvent): void {
  event.preventDefault();
  const field = document.querySelector<HTMLInputElement>("main input[type=search]");
  if (field) field.focus();
  else go(`${to.configurations()}?focus=search`);
}

function isTyping(event: KeyboardEvent): boolean {
  // Editors are inside of shadow roots.
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName);
}
