import assert from "node:assert/strict";
import { test } from "node:test";
import { Blamer } from "./blame";

const versions = (blamer: Blamer<number>) =>
  Object.fromEntries(blamer.found.map((one) => [one.pointer, one.version]));

test("each value is of the version that last set it, even if an older one had it too", () => {
  const blamer = new Blamer(4, { a: 1, b: { c: [1, 2] }, empty: {} });
  blamer.lookAt(3, { a: 2, b: { c: [1, 2] }, empty: {} });
  blamer.lookAt(2, { a: 1, b: { c: [1, 5] } });
  assert.ok(!blamer.isDone);
  blamer.lookAt(1, undefined);
  assert.ok(blamer.isDone);
  assert.deepEqual(versions(blamer), { "/a": 4, "/b/c/0": 2, "/b/c/1": 3, "/empty": 3 });
});

test("what the oldest kept version already had is marked", () => {
  const blamer = new Blamer(9, { a: 1, b: 2 });
  blamer.lookAt(8, { a: 1 });
  blamer.endAtCompaction();
  assert.deepEqual(
    blamer.found.map((one) => [one.pointer, one.isOldestKept]),
    [
      ["/a", true],
      ["/b", false],
    ],
  );
});

test("a deletion ends what is older: all is of the version that restored it", () => {
  const blamer = new Blamer(3, { a: 1 });
  blamer.lookAt(2, undefined);
  assert.ok(blamer.isDone);
  assert.deepEqual(versions(blamer), { "/a": 3 });
});

test("a name that only looks like an index is none, and an empty content is one value", () => {
  const blamer = new Blamer(2, { a: { "": 1, "1e0": 2 }, "x/y": 3 });
  blamer.lookAt(1, { a: [1, 2], "x/y": 3 });
  assert.deepEqual(versions(blamer), { "/a/": 2, "/a/1e0": 2, "/x~1y": 1 });
  const empty = new Blamer(2, {});
  empty.lookAt(1, { a: 1 });
  assert.deepEqual(versions(empty), { "": 2 });
});
