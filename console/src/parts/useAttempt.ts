import { useMutation } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { ApiError } from "../api/errors";
import { NO_PURPOSE, type Purpose } from "./Purpose";

/**
 * A write with its purpose.
 *
 * A repetition after an error that leaves open what was done has the same request_id, so that nothing is done twice.
 * `held`: a purpose that outlives the component.
 */
export function useAttempt<T>(
  write: (purpose: Purpose, requestId: string) => Promise<T>,
  onDone: (result: T) => unknown,
  held?: readonly [Purpose, (purpose: Purpose) => void],
) {
  const own = useState(NO_PURPOSE);
  const [purpose, setPurpose] = held ?? own;
  const [requestId, setRequestId] = useState(() => crypto.randomUUID());
  const attempt = useMutation({
    mutationFn: () => write(purpose, requestId),
    onSuccess: onDone,
    onError: (error) => {
      if (error instanceof ApiError && !error.mayPass) setRequestId(crypto.randomUUID());
    },
  });
  return { purpose, setPurpose, attempt };
}

/** Return a function that gives the request_id of an attempt: the same one until its settings change or it is done. */
export function useRequestIds(): { of: (settings: string) => string; done: () => void } {
  const last = useRef({ settings: "", id: "" });
  return {
    of: (settings) => {
      if (!last.current.id || last.current.settings !== settings) {
        last.current = { settings, id: crypto.randomUUID() };
      }
      return last.current.id;
    },
    done: () => {
      last.current = { settings: "", id: "" };
    },
  };
}
