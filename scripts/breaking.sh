#!/usr/bin/env bash
# Compare protos/ with the latest release tag (v…), or with the last commit before the first release.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! git rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
    echo "skipped: no git history to compare with"
    exit 0
fi
base=$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null || echo HEAD)
if ! git cat-file -e "$base:protos" 2>/dev/null; then
    echo "skipped: $base has no protos/"
    exit 0
fi

echo "compared with $base"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# An archive, as buf's own git input clones, which fails in shallow clones.
git archive "$base" protos | tar -x -C "$folder"
cp -r third_party buf.yaml "$folder/"
.venv/bin/buf breaking --against "$folder"
