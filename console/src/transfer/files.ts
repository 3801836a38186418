/** The files that were chosen. They outlive the screen, so that a real import can follow its dry run. */
import { useState } from "react";
import { type ReadFile, readText } from "./reading";

let kept: readonly ReadFile[] = [];

export function useFiles(): [readonly ReadFile[], (files: readonly ReadFile[]) => void] {
  const [files, setFiles] = useState(kept);
  return [
    files,
    (next) => {
      kept = next;
      setFiles(next);
    },
  ];
}

export async function readAllOf(files: Iterable<File>): Promise<ReadFile[]> {
  const read: ReadFile[] = [];
  for (const file of files) read.push(await readOne(file));
  return read;
}

async function readOne(file: File): Promise<ReadFile> {
  try {
    const bytes = await file.arrayBuffer();
    return readText(file.name, new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return { file: file.name, items: [], faults: [faultOf(error)] };
  }
}

function faultOf(error: unknown): string {
  // Of the decoder; a folder that was dragged here cannot be read at all.
  if (error instanceof TypeError) return "It is not text in UTF-8.";
  if (error instanceof RangeError) return "It is too large for a browser: use `configsvc config import`.";
  return "The browser cannot read it: drag files here, not folders.";
}
