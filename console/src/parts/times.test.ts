import assert from "node:assert/strict";
import { test } from "node:test";
import { exactTime, faultOfTime, timeOf } from "./times";

test("a time with a zone is kept to the microsecond, one without is the reader's own", () => {
  assert.equal(timeOf("2026-01-31T12:00:00.123456Z"), "2026-01-31T12:00:00.123456Z");
  assert.equal(timeOf("2026-01-31 12:00 +01:00"), "2026-01-31T12:00:00+01:00");
  assert.equal(timeOf("2026-01-31 12:00 UTC"), "2026-01-31T12:00:00Z");
  assert.equal(timeOf(" 2026-01-31 12:00 "), new Date(2026, 0, 31, 12).toISOString());
  assert.equal(timeOf("2026-01-31"), new Date(2026, 0, 31).toISOString());
});

test("what is no time is a fault, and so is what a browser would guess", () => {
  assert.equal(faultOfTime("2026-01-31 12:00"), "");
  for (const text of ["yesterday", "foo 12", "1", "2026-02-31", "2026-01-31 25:00", "2026-13-01T00:00:00Z"]) {
    assert.match(faultOfTime(text), /Write a time/, text);
  }
});

test("an exact time can be written back", () => {
  const time = new Date(2026, 0, 2, 3, 4, 5);
  assert.equal(exactTime(time), "2026-01-02 03:04:05");
  assert.equal(timeOf(exactTime(time)), time.toISOString());
});
