#!/usr/bin/env bash
# Fails when generated/ is not what protos/ generates today.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
scripts/proto.sh "$folder"
if ! diff --recursive --unified --exclude=__pycache__ "$folder/configapi" generated/configapi; then
    echo "generated/ is stale: run \`make proto\` and commit what it writes" >&2
    exit 1
fi
