#!/usr/bin/env bash
# Copy the files of Swagger UI that /docs needs into the service: scripts/swagger-ui.sh [--check]
# With --check, only compare. The version is in scripts/web/package.json, its hash in package-lock.json.
set -euo pipefail
cd "$(dirname "$0")/.."
target=configsvc/web/docs/swagger-ui
files=(swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css favicon-32x32.png LICENSE NOTICE)

scripts/web/install.sh || {
    status=$?
    if [ $status = 77 ] && [ "${1:-}" = --check ]; then
        echo "Swagger UI: not compared with its package, see above"
        exit 0
    fi
    exit $status
}
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
for file in "${files[@]}"; do
    install -m 644 "build/web-npm/node_modules/swagger-ui-dist/$file" "$fresh/$file"
done
if [ "${1:-}" = --check ]; then
    diff --recursive --brief "$fresh" $target || {
        echo "$target is not what its package has: run \`scripts/swagger-ui.sh\` and commit the result" >&2
        exit 1
    }
    exit
fi
rm -rf $target
mkdir -p $target
cp "$fresh"/* $target/
