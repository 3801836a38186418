#!/usr/bin/env bash
# Build the console into generated/console: scripts/console.sh [--check]
# With --check, check its types, style and unit tests, and that generated/console is what its source builds.
set -euo pipefail
cd "$(dirname "$0")/../console"
target=../generated/console

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "npm and node are not installed (Debian: apt install npm)" >&2
    [ "${1:-}" = --check ] && echo "console: not compared with its source" && exit 0
    exit 1
fi
if ! cmp --silent package-lock.json node_modules/.installed.json; then
    if ! npm ci --ignore-scripts --no-audit --no-fund --silent --prefer-offline; then
        echo "npm could not install the packages of the console" >&2
        [ "${1:-}" = --check ] && echo "console: not compared with its source" && exit 0
        exit 1
    fi
    cp package-lock.json node_modules/.installed.json
fi

if [ "${1:-}" != --check ]; then
    npm run --silent types
    node build.mjs $target
    exit
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx --no-install openapi-typescript ../generated/configapi/openapi.json --empty-objects-unknown --output "$fresh/schema.d.ts" >/dev/null
diff --brief "$fresh/schema.d.ts" src/api/schema.d.ts \
    || { echo "console/src/api/schema.d.ts is stale: run \`make console\` and commit the result" >&2; exit 1; }
npm run --silent check
npm test --silent
node build.mjs "$fresh/console"
diff --recursive --brief "$fresh/console" $target \
    || { echo "generated/console is stale: run \`make console\` and commit the result" >&2; exit 1; }
