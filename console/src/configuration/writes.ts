/** Writes of configurations. Each takes the request_id of its attempt, so that a repetition changes nothing twice. */
import { api, type Model, read } from "../api/client";
import type { Purpose } from "../parts/Purpose";

export type Key = { application: string; name: string };

const why = (purpose: Purpose) => ({ reason: purpose.reason, change_request: purpose.changeRequest });

// Contents are sent as they were typed: the service says what a number, or a name that is there twice, would lose.

export function checkContent(key: Key, text: string, signal: AbortSignal) {
  const body = {
    key,
    configuration: { config_json: text },
    update_mask: "config",
    validate_only: true,
  };
  return read(api.POST("/api/v1/configurations:update", { body, signal }));
}

export function publishContent(key: Key, text: string, version: string, purpose: Purpose, requestId: string) {
  const body = {
    key,
    configuration: { config_json: text },
    update_mask: "config",
    expected_version: version,
    request_id: requestId,
    ...why(purpose),
  };
  return read(api.POST("/api/v1/configurations:update", { body }));
}

export type New = Key & { comments: string; schema: string; version: string };

type Creation = Model["CreateConfigurationRequest"];

// The type asks for config, although config_json can stand in its place.
function creationOf(made: New, text: string): Creation {
  const { application, name, comments, schema, version } = made;
  return {
    application: { name: application },
    name,
    comments,
    config_json: text,
    ...(schema && { schema: { schema, ...(version && { version }) } }),
  } as unknown as Creation;
}

export function checkNew(made: New, text: string, signal: AbortSignal) {
  const body = { ...creationOf(made, text), validate_only: true };
  return read(api.POST("/api/v1/configurations", { body, signal }));
}

export function create(made: New, text: string, purpose: Purpose, requestId: string) {
  const body = { ...creationOf(made, text), request_id: requestId, ...why(purpose) };
  return read(api.POST("/api/v1/configurations", { body }));
}

type Change = { name: string; comments: string; schema: string; version: string };

/** Change everything but the content. */
export function changeRest(key: Key, change: Change, expected: string, purpose: Purpose, requestId: string) {
  const { name, comments, schema, version } = change;
  const body = {
    key,
    configuration: { name, comments, ...(schema && { schema: { schema, ...(version && { version }) } }) },
    update_mask: "name,comments,schema",
    expected_version: expected,
    request_id: requestId,
    ...why(purpose),
  };
  return read(api.POST("/api/v1/configurations:update", { body }));
}

export function remove(key: Key, expected: string, purpose: Purpose, requestId: string) {
  const body = { key, expected_version: expected, request_id: requestId, ...why(purpose) };
  return read(api.POST("/api/v1/configurations:delete", { body }));
}

export function undelete(id: string, purpose: Purpose, requestId: string) {
  const body = { request_id: requestId, ...why(purpose) };
  return read(api.POST("/api/v1/configurations/{id}:undelete", { params: { path: { id } }, body }));
}
