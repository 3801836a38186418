import { Dialog } from "../parts/Dialog";
import { KEYS } from "./shortcuts";

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Keys">
      <dl className="keys">
        {KEYS.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <p>
        The <a href="docs">API</a> is described beside this console. The command line <code>configsvc</code>{" "}
        does all that it does.
      </p>
    </Dialog>
  );
}
