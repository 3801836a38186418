import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, type Migration, requestOf } from "./migration";

const SHOP: Migration = {
  from: "",
  to: "",
  all: false,
  application: "shop",
  prefix: "",
  kind: "none",
  patch: "",
  validOnly: false,
};

test("everything must be meant", () => {
  assert.equal(faultOf(SHOP), "");
  assert.match(faultOf({ ...SHOP, application: "" }), /choose all/);
  assert.equal(faultOf({ ...SHOP, application: "", all: true }), "");
  assert.deepEqual(requestOf({ ...SHOP, all: true }), { all_configurations: {}, valid_only: false });
});

test("versions and the selection are sent only if they are given", () => {
  const selector = { application: { name: "shop" } };
  assert.deepEqual(requestOf(SHOP), { selector, valid_only: false });
  assert.deepEqual(
    requestOf({ ...SHOP, from: "1", to: "3", application: "", prefix: "a/", validOnly: true }),
    {
      from_version: "1",
      to_version: "3",
      selector: { name_prefix: "a/" },
      valid_only: true,
    },
  );
});

test("a patch has the form of its kind", () => {
  assert.equal(faultOf({ ...SHOP, kind: "json_patch", patch: '[{"op": "remove", "path": "/a"}]' }), "");
  assert.match(faultOf({ ...SHOP, kind: "json_patch", patch: "{}" }), /list of operations/);
  assert.match(faultOf({ ...SHOP, kind: "json_patch", patch: "[" }), /not JSON/);
  assert.equal(faultOf({ ...SHOP, kind: "merge_patch", patch: '{"a": null}' }), "");
  assert.match(faultOf({ ...SHOP, kind: "merge_patch", patch: "[]" }), /merge patch is a JSON object/);
});
