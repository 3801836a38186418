import assert from "node:assert/strict";
import { test } from "node:test";
import { addressed, faultOfMoment, momentName, momentOf } from "./moments";

test("a moment is a revision, a time, or now", () => {
  assert.deepEqual(momentOf(" 42 "), { as_of_revision: "42" });
  assert.deepEqual(momentOf("2026-01-31T12:00:00.5Z"), { as_of_time: "2026-01-31T12:00:00.5Z" });
  assert.deepEqual(momentOf(""), {});
  for (const text of ["0", "-1", "042", "1.5", "yesterday", "99999999999999999999"]) {
    assert.equal(momentOf(text), undefined, text);
    assert.match(faultOfMoment(text), /Write a revision/);
  }
});

test("a time in an address has a zone", () => {
  assert.equal(addressed("2026-01-31 12:00"), new Date(2026, 0, 31, 12).toISOString());
  assert.equal(addressed(" 42 "), "42");
});

test("a moment has a name", () => {
  assert.equal(momentName(""), "now");
  assert.equal(momentName("42"), "revision 42");
});
