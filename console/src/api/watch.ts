/** The watch of configurations: what it selects is kept in memory, and changes as it does in the service. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { currentToken } from "../session/token";
import { base, failed, type Model } from "./client";
import { ApiError, toApiError } from "./errors";
import { type Message, TooManyError, type Update, View } from "./view";

/** What a watch selects: the configurations of any of the selectors. */
export type Selection = {
  selectors: readonly Model["ConfigurationSelector"][];
  view: Model["ConfigurationView"];
};

export type WatchState =
  | { name: "connecting" }
  | { name: "live" }
  | { name: "paused" }
  | { name: "lost"; error: Error; again: number };

export type WatchOptions = {
  selection: Selection;
  signal: AbortSignal;
  onUpdate: (update: Update) => void;
  onState: (state: WatchState) => void;
  /** The most configurations to keep. Throws TooManyError beyond. */
  limit: number;
};

const FIRST_WAIT_MILLISECONDS = 500;
const LONGEST_WAIT_MILLISECONDS = 15_000;
const BOOKMARKS_MISSED = 3;
const LEAST_SILENCE_MILLISECONDS = 30_000;
const PROGRESS_SECONDS = 5;

/**
 * Follow a watch until the signal aborts or it is refused for good.
 *
 * What was shown stays until the new view is whole. The stream ends while the page is hidden: browsers share six
 * connections among all tabs of a service.
 */
export async function followConfigurations(options: WatchOptions): Promise<void> {
  const view = new View(options.limit);
  let wait = FIRST_WAIT_MILLISECONDS;
  while (!options.signal.aborted) {
    await untilVisible(options);
    if (options.signal.aborted) return;
    if (view.token === "") options.onState({ name: "connecting" });
    try {
      await readOnce(options, view, () => {
        wait = FIRST_WAIT_MILLISECONDS;
      });
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof Hidden) continue;
      if (error instanceof TooManyError || isFinal(error)) throw error;
      if (error instanceof ApiError && hasLostItsPlace(error)) view.startOver();
      const pause =
        Math.max(wait, ((error as ApiError).retryAfterSeconds ?? 0) * 1000) * (0.75 + Math.random() / 2);
      options.onState({ name: "lost", error: error as Error, again: Date.now() + pause });
      wait = Math.min(wait * 2, LONGEST_WAIT_MILLISECONDS);
      await pauseFor(pause, options.signal);
    }
  }
}

class Hidden extends Error {}

async function readOnce(options: WatchOptions, view: View, onAlive: () => void): Promise<void> {
  const connection = new AbortController();
  const stop = () => connection.abort();
  const watchdog = new Watchdog(stop);
  const hide = () => document.hidden && connection.abort(new Hidden());
  options.signal.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", hide);
  view.dropPending();
  try {
    for await (const message of messages(options, view.token, connection.signal)) {
      watchdog.heard(message);
      if (message.opened) onAlive();
      const update = view.take(message);
      if (update) options.onUpdate(update);
      if (message.resume_token) options.onState({ name: "live" });
    }
    throw new ApiError("the service closed the connection", 0, "", {}, [], undefined);
  } catch (error) {
    if (connection.signal.reason instanceof Hidden) throw connection.signal.reason;
    if (watchdog.hasBarked)
      throw new ApiError("the service has been silent for too long", 0, "", {}, [], undefined);
    if (error instanceof TypeError)
      throw new ApiError("the connection to the service is lost", 0, "", {}, [], undefined);
    throw error;
  } finally {
    watchdog.stop();
    options.signal.removeEventListener("abort", stop);
    document.removeEventListener("visibilitychange", hide);
    connection.abort();
  }
}

async function* messages(options: WatchOptions, token: string, signal: AbortSignal): AsyncGenerator<Message> {
  const bearer = currentToken();
  const request = {
    ...options.selection,
    instance: { id: "console", program: "configsvc-console" },
    progress_interval: `${PROGRESS_SECONDS}s`,
    ...(token && { resume_token: token }),
  };
  const answer = await fetch(`${base}/api/v1/configurations:watch`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(bearer && { authorization: `Bearer ${bearer}` }) },
    body: JSON.stringify(request),
    signal,
    cache: "no-store",
  });
  if (!answer.ok || !answer.body) throw failed(answer, await answer.json().catch(() => null));
  const events = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const event of iterate(events)) {
    const data: unknown = JSON.parse(event.data);
    if (event.event === "error") throw toApiError(0, data, null);
    yield data as Message;
  }
}

// Not every browser iterates over a stream.
async function* iterate<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Ends a stream that has been silent for three bookmarks: a connection can be lost without an error. */
class Watchdog {
  hasBarked = false;
  private limit = LEAST_SILENCE_MILLISECONDS;
  private timer: ReturnType<typeof setTimeout>;

  constructor(private readonly end: () => void) {
    this.timer = this.started();
  }

  heard(message: Message): void {
    const seconds = Number.parseFloat(message.opened?.progress_interval ?? "0");
    if (seconds) this.limit = Math.max(LEAST_SILENCE_MILLISECONDS, BOOKMARKS_MISSED * seconds * 1000);
    clearTimeout(this.timer);
    this.timer = this.started();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private started(): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.hasBarked = true;
      this.end();
    }, this.limit);
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof ApiError && [400, 401, 403, 404].includes(error.status) && !hasLostItsPlace(error);
}

function hasLostItsPlace(error: ApiError): boolean {
  return ["REVISION_COMPACTED", "EPOCH_CHANGED", "REVISION_UNKNOWN"].includes(error.reason);
}

async function untilVisible(options: WatchOptions): Promise<void> {
  if (!document.hidden) return;
  options.onState({ name: "paused" });
  await new Promise<void>((resolve) => {
    const check = () => {
      if (document.hidden && !options.signal.aborted) return;
      document.removeEventListener("visibilitychange", check);
      resolve();
    };
    document.addEventListener("visibilitychange", check);
    options.signal.addEventListener("abort", check);
  });
}

function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
