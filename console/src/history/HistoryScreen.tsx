/** The versions of a configuration: each can be viewed, any two compared, and each can come back. */
import { useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { More } from "../parts/More";
import { Busy, ErrorNotice } from "../parts/notices";
import { useSession } from "../session/Session";
import { ComparedVersions } from "./ComparedVersions";
import { OneVersion } from "./OneVersion";
import { useVersions } from "./queries";
import { RollbackDialog } from "./RollbackDialog";
import { Versions } from "./Versions";

export default function HistoryScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const [target, setTarget] = useState("");
  const versions = useVersions(application, name);
  const rows = versions.data?.pages.flatMap((page) => page.versions ?? []) ?? [];
  const newest = rows[0];
  const isCompacted = versions.data?.pages.at(-1)?.compacted && !versions.hasNextPage;
  const from = parameters.get("from") ?? "";
  const until = parameters.get("to") ?? "";
  const version = parameters.get("version") ?? "";
  const key = { application, name };
  const close = () => setParameters({ from: "", to: "", version: "" }, { replace: false });
  return (
    <>
      <header className="screen">
        <h1>
          History of <a href={to.configuration(application, name)}>{`${application}/${name}`}</a>
        </h1>
        {newest?.type === "CHANGE_TYPE_DELETED" ? (
          <span className="badge watch-lost">deleted</span>
        ) : (
          <a className="button" href={to.blame(application, name)}>
            Blame
          </a>
        )}
      </header>
      {until && <ComparedVersions of={key} from={from} to={until} onClose={close} />}
      {version && !until && <OneVersion of={key} version={version} onClose={close} />}
      {versions.isPending && <Busy label="Reading the versions" />}
      {versions.isError && <ErrorNotice error={versions.error} retry={() => void versions.refetch()} />}
      {rows.length > 0 && (
        <Versions
          of={key}
          rows={rows}
          from={from}
          to={until}
          onChoose={(chosen) => setParameters({ version: "", ...chosen })}
          onRollback={session.may("ROLE_EDITOR", application) ? setTarget : undefined}
        />
      )}
      <More pages={versions} />
      {isCompacted && <p className="faint">Older versions are no longer kept: they were compacted.</p>}
      {target && newest && (
        <RollbackDialog of={key} newest={newest} version={target} onClose={() => setTarget("")} />
      )}
    </>
  );
}
