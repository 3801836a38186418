import { useEffect, useMemo, useRef, useState } from "react";
import type { Configuration, Update } from "./view";
import { followConfigurations, type Selection, type WatchState } from "./watch";

export const MOST_CONFIGURATIONS = 50_000;
const LIT_MILLISECONDS = 4_000;
const EMPTY: ReadonlyMap<string, Configuration> = new Map();

export type Watched = {
  rows: ReadonlyMap<string, Configuration>;
  /** Whether the first snapshot is whole. */
  isComplete: boolean;
  revision: string;
  state: WatchState;
  /** An error after which the watch does not go on. */
  failure: Error | undefined;
  /** The ids that changed in the last seconds. */
  lit: ReadonlySet<string>;
  restart: () => void;
};

/** Follow the configurations that are selected, as long as the component is shown. */
export function useWatch(selection: Selection): Watched {
  const key = JSON.stringify(selection);
  const [round, setRound] = useState(0);
  const [update, setUpdate] = useState<Update>();
  const [state, setState] = useState<WatchState>({ name: "connecting" });
  const [failure, setFailure] = useState<Error>();
  const { lit, light } = useLit();

  // biome-ignore lint/correctness/useExhaustiveDependencies: a round begins the watch anew
  useEffect(() => {
    const stop = new AbortController();
    setFailure(undefined);
    followConfigurations({
      selection: JSON.parse(key) as Selection,
      signal: stop.signal,
      limit: MOST_CONFIGURATIONS,
      onUpdate: (next) => {
        setUpdate(next);
        light(next.events.flatMap((event) => event.configuration?.id ?? []));
      },
      onState: setState,
    }).catch((error: Error) => !stop.signal.aborted && setFailure(error));
    return () => {
      stop.abort();
      setUpdate(undefined);
    };
  }, [key, round, light]);

  return {
    rows: update?.rows ?? EMPTY,
    isComplete: update !== undefined,
    revision: update?.revision ?? "",
    state,
    failure,
    lit,
    restart: () => setRound((before) => before + 1),
  };
}

/** Ids that are lit for some seconds. */
function useLit(): { lit: ReadonlySet<string>; light: (ids: readonly string[]) => void } {
  const [lit, setLit] = useState<ReadonlySet<string>>(new Set());
  const until = useRef(new Map<string, number>());
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const light = useMemo(() => {
    const show = () => {
      const now = Date.now();
      for (const [id, end] of until.current) if (end <= now) until.current.delete(id);
      setLit(new Set(until.current.keys()));
      clearTimeout(timer.current);
      if (until.current.size) timer.current = setTimeout(show, LIT_MILLISECONDS / 4);
    };
    return (ids: readonly string[]) => {
      if (!ids.length) return;
      for (const id of ids) until.current.set(id, Date.now() + LIT_MILLISECONDS);
      show();
    };
  }, []);

  useEffect(() => () => clearTimeout(timer.current), []);
  return { lit, light };
}
