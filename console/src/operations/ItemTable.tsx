import { lazy, Suspense, useState } from "react";
import { to } from "../app/routes";
import { FaultList } from "../parts/FaultList";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { type Item, outcomeOf } from "./items";
import { useItems } from "./queries";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

type Props = {
  id: string;
  isDone: boolean;
  isDryRun: boolean;
  failedOnly: boolean;
  onFailedOnly: (only: boolean) => void;
};

/** The items of an operation that are done. */
export function ItemTable({ id, isDone, isDryRun, failedOnly, onFailedOnly }: Props) {
  const items = useItems(id, failedOnly, isDone);
  const rows = items.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section aria-labelledby="items">
      <h2 id="items">Items</h2>
      <label>
        <input
          type="checkbox"
          checked={failedOnly}
          onChange={(event) => onFailedOnly(event.target.checked)}
        />{" "}
        Failed ones only
      </label>
      {items.isPending && <Busy label="Reading the items" />}
      {items.isError && <ErrorNotice error={items.error} retry={() => void items.refetch()} />}
      {items.data && rows.length === 0 && (
        <Nothing>
          {failedOnly ? "No item failed." : isDone ? "It has no item." : "No item is done yet."}
        </Nothing>
      )}
      {rows.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col" className="number">
                  Item
                </th>
                <th scope="col">Configuration</th>
                <th scope="col">Outcome</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.index}>
                  <td className="number">{Number(one.index ?? 0) + 1}</td>
                  <td>
                    <a href={to.configuration(one.application ?? "", one.name ?? "")}>
                      {`${one.application}/${one.name}`}
                    </a>
                  </td>
                  <td>
                    <Outcome item={one} isDryRun={isDryRun} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More pages={items} />
    </section>
  );
}

function Outcome({ item, isDryRun }: { item: Item; isDryRun: boolean }) {
  const faults = item.faults ?? [];
  return (
    <>
      {outcomeOf(item, isDryRun)}
      {/* The error of an item with faults repeats them. */}
      {item.error && !faults.length && `: ${item.error.message}`}
      <FaultList faults={faults} count={Number(item.fault_count ?? 0)} />
      {item.before !== undefined && item.after !== undefined && (
        <Difference before={item.before} after={item.after} />
      )}
    </>
  );
}

/** A difference that is made when somebody wants to see it: a page has a hundred. */
function Difference({ before, after }: { before: string; after: string }) {
  const [isOpen, setIsOpen] = useState(false);
  if (before === after) return <div className="faint">The content stays the same.</div>;
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>Before and after</summary>
      {isOpen && (
        <Suspense fallback={<Busy label="Comparing" />}>
          <JsonDiff before={before} after={after} labels={["before", "after"]} />
        </Suspense>
      )}
    </details>
  );
}
