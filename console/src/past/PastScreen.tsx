/** A whole application as of a revision or a time, and what changed between two. */
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { TextFilter } from "../parts/TextFilter";
import { Between } from "./Between";
import { CommitTable } from "./CommitTable";
import { addressed, faultOfMoment } from "./moments";
import { State } from "./State";

export default function PastScreen({ names }: ScreenProps) {
  const application = names.application ?? "";
  const [parameters, setParameters] = useParameters();
  const from = parameters.get("from") ?? "";
  const until = parameters.get("to") ?? "";
  const at = parameters.get("at") ?? parameters.get("time") ?? "";
  const compares = Boolean(from || until);
  // One of both at a time: a state, or what lies between two.
  const goTo = (text: string) => setParameters({ ...NOTHING, at: addressed(text) }, { replace: false });
  const choose = (changes: { from?: string; to?: string }) =>
    setParameters({ at: "", time: "", show: "", ...changes }, { replace: false });
  const moment = { placeholder: "a revision or a time", check: faultOfMoment };
  return (
    <>
      <header className="screen">
        <h1>
          The past of <a href={to.application(application)}>{application}</a>
        </h1>
      </header>
      <search className="filters">
        <TextFilter label="As of" value={at} {...moment} onApply={goTo} />
        <TextFilter
          label="Changed from"
          value={from}
          {...moment}
          onApply={(text) => choose({ from: addressed(text) })}
        />
        <TextFilter
          label="Changed until"
          value={until}
          {...moment}
          placeholder="now"
          onApply={(text) => choose({ to: addressed(text) })}
        />
      </search>
      {compares && <Between application={application} from={from} to={until} onChoose={choose} />}
      {!compares && at && <State application={application} at={at} onChoose={goTo} />}
      <CommitTable application={application} from={from} to={until} onChoose={choose} />
    </>
  );
}

const NOTHING = { at: "", time: "", from: "", to: "", show: "" };
