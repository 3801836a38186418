/** Writes of schemas, and what the service says before they are made. Documents are sent as they were typed. */
import { api, type Model, read } from "../api/client";
import { withText } from "../parts/exact";
import type { Purpose } from "../parts/Purpose";
import { type Migration, requestOf } from "./migration";
import { type SchemaVersion, versionOf } from "./queries";

export type Proposal = { text: string; isOpen: boolean };
export type Addition = Model["SchemaAddition"];
export type Additions = { additions: readonly Addition[]; count: number };
/** What the service says of a document. `version`: as it would be stored; the newest one if it is the same. */
export type Checked = { additions: Additions; version: SchemaVersion | undefined };
export type Mode = "SCHEMA_VERSION_MODE_STRICT" | "SCHEMA_VERSION_MODE_PINNED";

const why = (purpose: Purpose) => ({ reason: purpose.reason, change_request: purpose.changeRequest });

const closing = ({ isOpen }: Proposal) =>
  ({ closing: isOpen ? "CLOSING_AS_WRITTEN" : "CLOSING_CLOSED", document: {} }) as const;

const sent = (proposal: Proposal) => (body: object) => withText(body, "document", proposal.text);

export type New = { name: string; comments: string };

/** Check the document of a new schema. Throws ApiError with all of its faults. */
export async function checkSchema(made: New, proposal: Proposal, signal: AbortSignal): Promise<Checked> {
  const body = { ...made, ...closing(proposal), validate_only: true };
  const answer = await read(api.POST("/api/v1/schemas", { body, signal, bodySerializer: sent(proposal) }));
  return { additions: additionsOf(answer), version: undefined };
}

export function createSchema(made: New, proposal: Proposal, purpose: Purpose, requestId: string) {
  const body = { ...made, ...closing(proposal), request_id: requestId, ...why(purpose) };
  return read(api.POST("/api/v1/schemas", { body, bodySerializer: sent(proposal) }));
}

/** Check the document of a new version. Looks at no configuration, so that it can be asked at each key. */
export async function checkDocument(name: string, proposal: Proposal, signal: AbortSignal): Promise<Checked> {
  const mode = "SCHEMA_VERSION_MODE_PINNED" as const;
  const body = { ...closing(proposal), mode, validate_only: true };
  const params = { path: { name } };
  const options = { params, body, signal, bodySerializer: sent(proposal), parseAs: "text" } as const;
  const version = versionOf(await read(api.POST("/api/v1/schemas/{name}/versions", options)));
  return { additions: additionsOf(version), version };
}

/** Return what a new version would do in mode STRICT. */
export function checkVersion(name: string, proposal: Proposal, signal: AbortSignal) {
  const body = { ...closing(proposal), latest: true };
  const options = { params: { path: { name } }, body, signal, bodySerializer: sent(proposal) };
  return read(api.POST("/api/v1/schemas/{name}:check", options));
}

export function createVersion(
  name: string,
  proposal: Proposal,
  change: { mode: Mode; expected: string },
  purpose: Purpose,
  requestId: string,
) {
  const body = {
    ...closing(proposal),
    mode: change.mode,
    expected_version: change.expected,
    request_id: requestId,
    ...why(purpose),
  };
  const options = { params: { path: { name } }, body, bodySerializer: sent(proposal) };
  return read(api.POST("/api/v1/schemas/{name}/versions", options));
}

export function deleteSchema(name: string, expected: string, purpose: Purpose, requestId: string) {
  const body = { name, expected_version: expected, request_id: requestId, ...why(purpose) };
  return read(api.POST("/api/v1/schemas:delete", { body }));
}

export function additionsOf(answer: { additions?: Addition[]; addition_count?: string }): Additions {
  return { additions: answer.additions ?? [], count: Number(answer.addition_count ?? 0) };
}

/** Start a migration, or its dry run. The patch is sent as it was typed. */
export function migrate(
  schema: string,
  migration: Migration,
  isDryRun: boolean,
  purpose: Purpose,
  requestId: string,
) {
  const { kind, patch } = migration;
  const body = {
    ...requestOf(migration),
    validate_only: isDryRun,
    request_id: requestId,
    ...why(purpose),
  };
  const bodySerializer = (one: object) =>
    kind === "none" ? JSON.stringify(one) : withText(one, kind, patch);
  const options = { params: { path: { schema } }, body, bodySerializer };
  return read(api.POST("/api/v1/schemas/{schema}:migrate", options));
}
