import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../api/errors";
import { collected, fileName } from "./exported";

const bytes = (...texts: string[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const text of texts) controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });

const LINE = '{"items":[{"name":"a"},{"name":"b"}],"revision":"7"}';

test("an export has all of its lines, however they are cut on their way", async () => {
  const seen: number[] = [];
  const { file, configurations, revision } = await collected(
    bytes(LINE.slice(0, 20), `${LINE.slice(20)}\n${LINE}`, "\n"),
    (progress) => seen.push(progress.configurations),
  );
  assert.equal(await file.text(), `${LINE}\n${LINE}\n`);
  assert.deepEqual([configurations, revision], [4, "7"]);
  assert.deepEqual(seen, [2, 4]);
});

test("an export that fails in its middle gives an error and no file", async () => {
  const error = '{"error":{"code":7,"message":"no role","details":[]}}';
  await assert.rejects(
    collected(bytes(`${LINE}\n${error}\n`), () => undefined),
    (caught: unknown) => caught instanceof ApiError && caught.message === "no role" && caught.status === 403,
  );
});

test("an export that is cut off gives no file", async () => {
  for (const cut of [[`${LINE}\n`, LINE.slice(0, 9)], [`${LINE}\n{\n`], []]) {
    await assert.rejects(
      collected(bytes(...cut), () => undefined),
      /cut off/,
    );
  }
});

test("a file is named by what is in it", () => {
  assert.equal(fileName({ application: "shop", prefix: "team/" }, "7"), "shop-team-revision-7.jsonl");
  assert.equal(fileName({ application: "", prefix: "" }, "7"), "all-revision-7.jsonl");
});
