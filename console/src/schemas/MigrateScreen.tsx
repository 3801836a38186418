/** Moves configurations to another version of a schema: first as a dry run, then for real. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go, useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { useDraft } from "../configuration/drafts";
import { idOf } from "../operations/items";
import { OperationView } from "../operations/OperationView";
import { useOperation } from "../operations/queries";
import { ErrorNotice } from "../parts/notices";
import { NO_PURPOSE, PurposeFields } from "../parts/Purpose";
import { useRequestIds } from "../parts/useAttempt";
import { useSession } from "../session/Session";
import { MigrationFields } from "./MigrationFields";
import { faultOf, type Migration, type PatchKind } from "./migration";
import { migrate } from "./writes";

export default function MigrateScreen({ names }: ScreenProps) {
  const { name = "" } = names;
  const { migration, change, drop } = useMigration(name);
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  // The dry run of exactly these settings: what is done for real is what was seen.
  const [tried, setTried] = useState({ id: "", settings: "" });
  const queries = useQueryClient();
  const session = useSession();
  const settings = JSON.stringify(migration);
  const fault = faultOf(migration);
  const mayStart = session.may("ROLE_EDITOR", migration.all ? undefined : migration.application);
  const requestIds = useRequestIds();
  const attempt = useMutation({
    mutationFn: (isDryRun: boolean) => {
      const requestId = requestIds.of(JSON.stringify([migration, purpose, isDryRun]));
      return migrate(name, migration, isDryRun, purpose, requestId);
    },
    onSuccess: (operation, isDryRun) => {
      requestIds.done();
      if (isDryRun) setTried({ id: idOf(operation), settings });
      else {
        drop();
        void queries.invalidateQueries({ queryKey: ["operations"] });
        go(to.operation(operation.name ?? ""));
      }
    },
  });
  return (
    <>
      <header className="screen">
        <h1>
          Migrate configurations of <a href={to.schema(name)}>{name}</a>
        </h1>
      </header>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate(true);
        }}
      >
        <MigrationFields migration={migration} onChange={change} schema={name} />
        {fault && <p className="faint">{fault}</p>}
        {!fault && !mayStart && (
          <p className="notice warning">
            The role editor of{" "}
            {migration.all || !migration.application ? "all applications" : migration.application} is needed
            for this selection.
          </p>
        )}
        {attempt.isError && attempt.variables && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" disabled={Boolean(fault) || !mayStart || attempt.isPending}>
            {attempt.isPending && attempt.variables ? "Starting …" : "Try it (dry run)"}
          </button>
        </p>
      </form>
      {tried.id && (
        <section aria-labelledby="tried">
          <h2 id="tried">Dry run</h2>
          <OperationView id={tried.id} />
          <form
            className="stacked"
            onSubmit={(event) => {
              event.preventDefault();
              attempt.mutate(false);
            }}
          >
            <PurposeFields value={purpose} onChange={setPurpose} />
            {attempt.isError && !attempt.variables && <ErrorNotice error={attempt.error} />}
            <RealStart
              id={tried.id}
              validOnly={migration.validOnly}
              isSame={tried.settings === settings}
              isStarting={attempt.isPending}
            />
          </form>
        </section>
      )}
    </>
  );
}

type RealStartProps = { id: string; validOnly: boolean; isSame: boolean; isStarting: boolean };

function RealStart({ id, validOnly, isSame, isStarting }: RealStartProps) {
  const tried = useOperation(id).data;
  const hasSucceeded = tried?.metadata?.state === "STATE_SUCCEEDED";
  // A dry run goes on to its end, so that it lists all that fails.
  const isGood = hasSucceeded && (validOnly || !Number(tried.metadata?.failed_count ?? 0));
  return (
    <p className="actions">
      <button type="submit" className="primary" disabled={!isGood || !isSame || isStarting}>
        {isStarting ? "Starting …" : "Migrate"}
      </button>
      {!isSame && <span>You changed something since: try it again first.</span>}
      {isSame && tried?.done && !isGood && (
        <span>{hasSucceeded ? SOME_FAIL : "The dry run did not succeed."}</span>
      )}
    </p>
  );
}

const SOME_FAIL =
  "Some cannot be moved: correct what is listed, or choose to move those that can be, and try it again.";

const BEGINNINGS = { none: "", json_patch: "[]\n", merge_patch: "{}\n" } as const;

type Migrating = {
  migration: Migration;
  change: (changes: Partial<Migration>) => void;
  /** Forget the patches. */
  drop: () => void;
};

/** Return the migration in the address. The patch is none of it, as it may be long; it outlives the screen, too. */
function useMigration(schema: string): Migrating {
  const [parameters, setParameters] = useParameters();
  const text = (name: string) => parameters.get(name) ?? "";
  const kind = (["json_patch", "merge_patch"].find((one) => one === text("patch")) ?? "none") as PatchKind;
  const patches = {
    json_patch: usePatch(schema, "json_patch"),
    merge_patch: usePatch(schema, "merge_patch"),
  };
  return {
    migration: {
      from: text("from"),
      to: text("to"),
      all: text("all") === "true",
      application: text("application"),
      prefix: text("prefix"),
      kind,
      patch: kind === "none" ? "" : patches[kind].text,
      validOnly: text("valid_only") === "true",
    },
    change: ({ patch, kind: newKind, all, validOnly, ...texts }) => {
      if (patch !== undefined && kind !== "none") patches[kind].set(patch);
      setParameters({
        ...texts,
        ...(newKind !== undefined && { patch: newKind === "none" ? "" : newKind }),
        ...(all !== undefined && { all: all ? "true" : "" }),
        ...(validOnly !== undefined && { valid_only: validOnly ? "true" : "" }),
      });
    },
    drop: () => {
      patches.json_patch.drop();
      patches.merge_patch.drop();
    },
  };
}

function usePatch(schema: string, kind: PatchKind) {
  const base = BEGINNINGS[kind];
  const {
    draft,
    setDraft,
    dropDraft: drop,
  } = useDraft(`${kind}\n${schema}`, { text: base, version: "", base });
  return { text: draft.text, set: (text: string) => setDraft({ ...draft, text }), drop };
}
