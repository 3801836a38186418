// Run the unit tests, src/**/*.test.ts, with Node's own runner.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const tests = readdirSync("src", { recursive: true }).filter((path) => path.endsWith(".test.ts"));
// Inside this folder, so that node_modules is found.
const folder = join("build", "tests");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
await build({
  entryPoints: tests.map((path) => join("src", path)),
  outdir: folder,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
});
process.exit(spawnSync(process.execPath, ["--test", folder], { stdio: "inherit" }).status ?? 1);
