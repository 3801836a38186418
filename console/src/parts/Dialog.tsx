import { type ReactNode, useEffect, useId, useRef } from "react";

/** A modal dialog. Escape closes it. */
export function Dialog(props: {
  open: boolean;
  onClose: () => void;
  title: string;
  wide?: boolean;
  children: ReactNode;
}) {
  const { open, onClose, title, wide, children } = props;
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    if (open) element.current?.showModal();
    else element.current?.close();
  }, [open]);
  return (
    <dialog ref={element} onClose={onClose} aria-labelledby={heading} className={wide ? "wide" : undefined}>
      {open && (
        <>
          <header>
            <h2 id={heading}>{title}</h2>
            <button type="button" className="quiet" onClick={onClose} aria-label="Close">
              ✕
            </button>
          </header>
          {children}
        </>
      )}
    </dialog>
  );
}
