import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import type { Configuration } from "./queries";
import { changeRest, remove } from "./writes";

type Props = { configuration: Configuration; onClose: () => void };

/** Return what the dialog was opened for. What somebody else makes of it meanwhile is nothing that the caller decided on. */
function useSeen(props: Props): Props {
  const [configuration] = useState(props.configuration);
  return { ...props, configuration };
}

/** The form for everything of a configuration but its content. */
export function RestDialog(props: Props & { onChanged: (version: string) => void }) {
  const { configuration, onClose } = useSeen(props);
  const queries = useQueryClient();
  const { application = "", name: oldName = "", version = "" } = configuration;
  const [name, setName] = useState(oldName);
  const [comments, setComments] = useState(configuration.comments ?? "");
  const [schema, setSchema] = useState(configuration.schema?.schema ?? "");
  const [pin, setPin] = useState(configuration.schema?.version ?? "");
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const change = { name: name.trim(), comments, schema: schema.trim(), version: pin.trim() };
      return changeRest({ application, name: oldName }, change, version, why, requestId);
    },
    async (changed) => {
      props.onChanged(changed.version ?? "");
      await queries.invalidateQueries();
      onClose();
      if (name.trim() !== oldName) go(to.configuration(application, name.trim()), { replace: true });
    },
  );
  return (
    <Dialog open onClose={onClose} title={`Change ${application}/${oldName}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <label>
          Name
          <input value={name} onChange={(event) => setName(event.target.value)} required />
        </label>
        {name.trim() !== oldName && (
          <p className="notice warning">Whoever asks for the old name no longer finds it.</p>
        )}
        <label>
          Comments
          <input value={comments} onChange={(event) => setComments(event.target.value)} />
        </label>
        <label>
          Schema
          <input value={schema} onChange={(event) => setSchema(event.target.value)} placeholder="none" />
        </label>
        <label>
          Schema version
          <input
            value={pin}
            onChange={(event) => setPin(event.target.value)}
            placeholder="the latest"
            inputMode="numeric"
          />
        </label>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={attempt.isPending}>
            {attempt.isPending ? "Changing …" : "Change"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

export function DeletionDialog(props: Props) {
  const { configuration, onClose } = useSeen(props);
  const queries = useQueryClient();
  const { application = "", name = "", version = "" } = configuration;
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => remove({ application, name }, version, why, requestId),
    async () => {
      onClose();
      await queries.invalidateQueries();
    },
  );
  return (
    <Dialog open onClose={onClose} title={`Delete ${application}/${name}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>Its watchers are told that it is gone. Its history stays, and it can be undeleted.</p>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="danger" disabled={attempt.isPending}>
            {attempt.isPending ? "Deleting …" : "Delete"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

/** A link to a new configuration that begins as a copy of this one. */
export function CopyLink({ configuration }: { configuration: Configuration }) {
  const { application = "", name = "" } = configuration;
  return (
    <a className="button" href={to.newConfiguration(application, { name: `${name}-copy`, from: name })}>
      Copy
    </a>
  );
}
