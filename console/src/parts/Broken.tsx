import { Component, type ReactNode } from "react";

/** The place of a screen that failed: a fault of the console, or a file of an older version that is gone. */
export class Broken extends Component<{ children: ReactNode }, { error: Error | undefined }> {
  override state = { error: undefined as Error | undefined };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    const outdated = /dynamically imported module|importing a module/i.test(error.message);
    return (
      <div className="notice error" role="alert">
        <p>
          <strong>{outdated ? "A part of this page could not be loaded." : "This screen failed."}</strong>{" "}
          {outdated ? "The service may have a newer version of the console, or is away." : error.message}
        </p>
        <button type="button" onClick={() => location.reload()}>
          Reload the page
        </button>
      </div>
    );
  }
}
