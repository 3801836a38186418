#!/usr/bin/env bash
# Fail if generated/ differs from what protos/ generates.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
scripts/proto.sh "$folder"
if ! diff --recursive --unified --exclude=__pycache__ "$folder/configapi" generated/configapi; then
    echo "generated/ is stale: run \`make proto\` and commit the result" >&2
    exit 1
fi
