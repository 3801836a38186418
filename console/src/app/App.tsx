/** The frame of all screens: navigation, notices about the session, and keys. */
import { Suspense, useEffect, useState } from "react";
import { Broken } from "../parts/Broken";
import { Busy } from "../parts/notices";
import { useSession } from "../session/Session";
import { Help } from "./Help";
import { useAddress } from "./location";
import { Navigation } from "./Navigation";
import { to } from "./routes";
import { SessionNotices } from "./SessionNotices";
import { screenOf } from "./screens";
import { useShortcuts } from "./shortcuts";

export function App() {
  const address = useAddress();
  const session = useSession();
  const [helps, setHelps] = useState(false);
  useShortcuts({ onHelp: () => setHelps(true) });
  const screen = screenOf(address.segments);

  // Readers of a screen reader hear where they are, and begin at the top.
  useEffect(() => {
    window.scrollTo(0, 0);
    document.title = titleOf(address.segments);
  }, [address.segments]);

  return (
    <>
      <button type="button" className="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <Navigation segments={address.segments} caller={session.caller} />
      <SessionNotices />
      <main id="main" tabIndex={-1}>
        <Broken key={address.path}>
          <Suspense fallback={<Busy label="Loading" />}>
            {screen ? <screen.component names={screen.names} key={address.path} /> : <NotFound />}
          </Suspense>
        </Broken>
      </main>
      <Help open={helps} onClose={() => setHelps(false)} />
    </>
  );
}

function titleOf(segments: readonly string[]): string {
  return [...segments.slice(1).reverse(), segments[0] ?? "configurations", "configsvc"].join(" · ");
}

function NotFound() {
  return (
    <>
      <h1>There is no such page</h1>
      <p>
        <a href={to.configurations()}>All configurations</a>
      </p>
    </>
  );
}
