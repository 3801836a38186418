import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Model, read } from "../api/client";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { Time } from "../parts/Time";
import { BindingDialog, DeletionDialog } from "./dialogs";
import { roleName } from "./roles";

export type Binding = Model["RoleBinding"];

const PAGE_SIZE = 100;

export function Bindings() {
  const [parameters, setParameters] = useParameters();
  const [isAdding, setIsAdding] = useState(false);
  const [deleted, setDeleted] = useState<Binding>();
  const principal = parameters.get("principal") ?? "";
  const application = parameters.get("application") ?? "";
  const bindings = useBindings(principal, application);
  const rows = bindings.data?.pages.flatMap((page) => page.role_bindings ?? []) ?? [];

  return (
    <section aria-labelledby="bindings">
      <header className="screen">
        <h2 id="bindings">Role bindings</h2>
        <button type="button" onClick={() => setIsAdding(true)}>
          Bind a role
        </button>
      </header>
      <search className="filters">
        <TextFilter
          label="Principal"
          value={principal}
          placeholder="user:ada"
          onApply={(value) => setParameters({ principal: value })}
        />
        <TextFilter
          label="Application"
          value={application}
          onApply={(value) => setParameters({ application: value })}
        />
      </search>
      {bindings.isPending && <Busy label="Reading the role bindings" />}
      {bindings.isError && <ErrorNotice error={bindings.error} retry={() => void bindings.refetch()} />}
      {bindings.data && rows.length === 0 && <Nothing>There is no such role binding.</Nothing>}
      {rows.length > 0 && <Table rows={rows} onDelete={setDeleted} />}
      <More pages={bindings} />
      <BindingDialog open={isAdding} onClose={() => setIsAdding(false)} application={application} />
      <DeletionDialog binding={deleted} onClose={() => setDeleted(undefined)} />
    </section>
  );
}

function useBindings(principal: string, application: string) {
  return useInfiniteQuery({
    queryKey: ["role-bindings", principal, application],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListRoleBindingsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = {
        page_size: PAGE_SIZE,
        ...(principal && { principal }),
        ...(application && { application }),
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/role-bindings", { params: { query } }));
    },
  });
}

function Table({ rows, onDelete }: { rows: readonly Binding[]; onDelete: (binding: Binding) => void }) {
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Principal</th>
            <th scope="col">Role</th>
            <th scope="col">For</th>
            <th scope="col">Bound</th>
            <th scope="col">
              <span className="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <tr key={one.id}>
              <td>
                <code>{one.principal}</code>
              </td>
              <td>{roleName(one.role)}</td>
              <td>
                {one.application ? (
                  <a href={to.application(one.application.name ?? "")}>{one.application.name}</a>
                ) : (
                  <strong>all applications</strong>
                )}
              </td>
              <td>
                <Time value={one.create_time} /> by {one.created_by}
              </td>
              <td>
                <button type="button" className="danger" onClick={() => onDelete(one)}>
                  Delete
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
