import assert from "node:assert/strict";
import { test } from "node:test";
import { kindName, outcomeOf, pageOf } from "./items";

test("the contents of items keep every digit", () => {
  const answer =
    '{"items":[{"index":"0","name":"a","before":{"n":9223372036854775807},"after":{"n":1}},{"index":"1"}],"next_page_token":"t"}';
  const { items, next } = pageOf(answer);
  assert.equal(next, "t");
  assert.equal(items[0]?.before, '{\n  "n": 9223372036854775807\n}\n');
  assert.equal(items[0]?.after, '{\n  "n": 1\n}\n');
  assert.equal(items[0]?.name, "a");
  assert.equal(items[1]?.before, undefined);
  assert.deepEqual(pageOf("{}"), { items: [], next: undefined });
});

test("an outcome says what a dry run would do", () => {
  assert.equal(outcomeOf({ type: "CHANGE_TYPE_CREATED" }, false), "created");
  assert.equal(outcomeOf({ type: "CHANGE_TYPE_UPDATED" }, true), "would be changed");
  assert.equal(outcomeOf({ type: "CHANGE_TYPE_UNSPECIFIED" }, true), "no change needed");
  assert.equal(outcomeOf({ error: { code: 5 } }, true), "failed");
});

test("a dry run is named as one", () => {
  const metadata = { "@type": "type.googleapis.com/configapi.v1.OperationMetadata" } as const;
  assert.equal(
    kindName({ ...metadata, kind: "KIND_IMPORT_CONFIGURATIONS", validate_only: true }),
    "import, dry run",
  );
  assert.equal(kindName({ ...metadata, kind: "KIND_MIGRATE_CONFIGURATIONS" }), "migration");
});
