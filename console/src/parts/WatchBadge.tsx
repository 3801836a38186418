import { useEffect, useState } from "react";
import type { WatchState } from "../api/watch";

/** Whether what is shown is live, and why not. */
export function WatchBadge({ state, revision }: { state: WatchState; revision: string }) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (state.name !== "lost") return;
    const timer = setInterval(() => tick((before) => before + 1), 1000);
    return () => clearInterval(timer);
  }, [state]);
  return (
    <span className={`badge watch-${state.name}`} role="status">
      {text(state, revision)}
    </span>
  );
}

function text(state: WatchState, revision: string): string {
  switch (state.name) {
    case "connecting":
      return "connecting";
    case "live":
      return `live at revision ${revision}`;
    case "paused":
      return "paused";
    case "lost": {
      const seconds = Math.max(0, Math.round((state.again - Date.now()) / 1000));
      return `not live: ${state.error.message}; next attempt in ${seconds} s`;
    }
  }
}
