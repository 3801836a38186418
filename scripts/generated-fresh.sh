#!/usr/bin/env bash
# Fail if generated/ or docs/reference/api/ differs from what protos/ generates.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
scripts/proto.sh "$folder" "$folder/reference"
stale=()
compare() { diff --recursive --unified --exclude=__pycache__ "$folder/$1" "$2" || stale+=("$2"); }
compare configapi generated/configapi
compare reference docs/reference/api
if [ ${#stale[@]} -gt 0 ]; then
    echo "${stale[*]}: stale, run \`make proto\` and commit the result" >&2
    exit 1
fi
