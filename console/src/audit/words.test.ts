import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOfTime, timeOf } from "./words";

test("a time with a zone is that time, one without is the reader's own", () => {
  assert.equal(timeOf("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00.000Z");
  assert.equal(timeOf("2026-01-31 12:00"), new Date(2026, 0, 31, 12).toISOString());
});

test("what is no time is a fault", () => {
  assert.equal(faultOfTime("2026-01-31 12:00"), "");
  assert.match(faultOfTime("yesterday"), /Write a time/);
});
