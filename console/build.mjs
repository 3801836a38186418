// Build the console: node build.mjs [folder, default ../generated/console]
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const folder = process.argv[2] ?? "../generated/console";
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const result = await build({
  entryPoints: { console: "src/main.tsx" },
  outdir: join(folder, "assets"),
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  // Names with a digest, so that browsers keep a file for ever and never mix two versions.
  entryNames: "[name]-[hash]",
  chunkNames: "part-[hash]",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "linked",
  // @rjsf/core imports it for its tests alone: it needs eval, which the page forbids, and must not get into the build.
  external: ["@rjsf/validator-ajv8"],
  metafile: true,
});

const left = Object.values(result.metafile.outputs).flatMap((one) =>
  one.imports.filter((name) => name.external),
);
if (left.length) throw new Error(`the build imports ${left.map((one) => one.path)}`);

const names = Object.keys(result.metafile.outputs).map((path) => basename(path));
const first = (ending) => names.find((name) => name.startsWith("console-") && name.endsWith(ending));
const page = readFileSync("index.html", "utf8")
  .replace("src/main.tsx", `assets/${first(".js")}`)
  .replace("src/styles.css", `assets/${first(".css")}`);
writeFileSync(join(folder, "index.html"), page);
cpSync("icon.svg", join(folder, "assets", "icon.svg"));
