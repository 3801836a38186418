import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { NO_PURPOSE, type Purpose } from "./Purpose";

/** A write with its purpose. A repetition after an error has the same request_id, so that nothing is done twice. */
export function useAttempt<T>(
  write: (purpose: Purpose, requestId: string) => Promise<T>,
  onDone: (result: T) => unknown,
) {
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const attempt = useMutation({ mutationFn: () => write(purpose, requestId), onSuccess: onDone });
  return { purpose, setPurpose, attempt };
}
