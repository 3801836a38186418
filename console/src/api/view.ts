/** What a watch has delivered, as a whole. */
import type { Model } from "./client";

export type Configuration = Model["Configuration"];
export type Event = Model["ConfigurationEvent"];
export type Message = Model["WatchConfigurationsResponse"];

/** A whole view, and the events that led to it; none after a snapshot. */
export type Update = { rows: ReadonlyMap<string, Configuration>; revision: string; events: readonly Event[] };

/** A selection that is too large for a browser. */
export class TooManyError extends Error {}

/** What a watch has delivered. Messages are kept until one has a token, and are then applied together. */
export class View {
  token = "";
  private rows = new Map<string, Configuration>();
  private pending: Event[] = [];
  private isSnapshot = true;

  constructor(private readonly limit: number) {}

  startOver(): void {
    this.token = "";
    this.dropPending();
  }

  /** Forget what a broken stream delivered only in part. */
  dropPending(): void {
    this.pending = [];
    this.isSnapshot = this.token === "";
  }

  /** Return the new view once a message completes it. */
  take(message: Message): Update | undefined {
    this.pending.push(...(message.events ?? []));
    if (this.pending.length > this.limit) throw new TooManyError();
    if (!message.resume_token) return undefined;
    this.token = message.resume_token;
    const events = this.pending;
    const wasSnapshot = this.isSnapshot;
    this.pending = [];
    this.isSnapshot = false;
    if (!events.length && !wasSnapshot) return undefined;
    const rows = new Map(wasSnapshot ? [] : this.rows);
    for (const event of events) {
      const id = event.configuration?.id;
      if (!id || !event.configuration) continue;
      if (event.effect === "EFFECT_REMOVE") rows.delete(id);
      else rows.set(id, event.configuration);
    }
    if (rows.size > this.limit) throw new TooManyError();
    this.rows = rows;
    return { rows, revision: message.revision ?? "", events: wasSnapshot ? [] : events };
  }
}
