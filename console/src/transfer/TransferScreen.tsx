/** Import of files, and export to a file. */
import { useSession } from "../session/Session";
import { Export } from "./Export";
import { Import } from "./Import";

export default function TransferScreen() {
  const session = useSession();
  const mayImport =
    session.may("ROLE_EDITOR") || session.caller.application_roles?.some((one) => one.role !== "ROLE_VIEWER");
  return (
    <>
      <header className="screen">
        <h1>Import and export</h1>
      </header>
      {mayImport && <Import />}
      <Export />
    </>
  );
}
