/** All applications. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Model, read } from "../api/client";
import { go, useParameters } from "../app/location";
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { CreationDialog } from "./CreationDialog";

const PAGE_SIZE = 200;

export default function ApplicationsScreen() {
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const [isCreating, setIsCreating] = useState(false);
  const prefix = parameters.get("prefix") ?? "";
  const applications = useApplications(prefix);
  const rows = applications.data?.pages.flatMap((page) => page.applications ?? []) ?? [];
  return (
    <>
      <header className="screen">
        <h1>Applications</h1>
        {session.may("ROLE_ADMIN") && (
          <button type="button" onClick={() => setIsCreating(true)}>
            New application
          </button>
        )}
      </header>
      <search className="filters">
        <TextFilter
          label="Name begins with"
          value={prefix}
          onApply={(value) => setParameters({ prefix: value })}
        />
      </search>
      {applications.isPending && <Busy label="Reading the applications" />}
      {applications.isError && (
        <ErrorNotice error={applications.error} retry={() => void applications.refetch()} />
      )}
      {applications.data && rows.length === 0 && <Nothing>There is no such application.</Nothing>}
      {rows.length > 0 && <Table rows={rows} />}
      <More pages={applications} />
      <CreationDialog
        open={isCreating}
        onClose={() => setIsCreating(false)}
        onCreated={(name) => go(to.application(name))}
      />
    </>
  );
}

function useApplications(prefix: string) {
  return useInfiniteQuery({
    queryKey: ["applications", prefix],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListApplicationsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = {
        page_size: PAGE_SIZE,
        ...(prefix && { name_prefix: prefix }),
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/applications", { params: { query } }));
    },
  });
}

function Table({ rows }: { rows: readonly Model["Application"][] }) {
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Comments</th>
            <th scope="col">Changed</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <tr key={one.id}>
              <td>
                <a href={to.application(one.name ?? "")}>{one.name}</a>
              </td>
              <td>{one.comments}</td>
              <td>
                <Time value={one.update_time} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
