#!/usr/bin/env bash
# Install the npm packages of package-lock.json, whose hashes npm checks, into build/web-npm. Runs no script of theirs.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=build/web-npm
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "npm and node are not installed (Debian: apt install npm)" >&2
    exit 77
fi
mkdir -p $folder
cmp --silent scripts/web/package-lock.json $folder/installed.json && exit
cp scripts/web/package*.json $folder/
cd $folder
if ! npm ci --ignore-scripts --no-audit --no-fund --silent --prefer-offline; then
    echo "npm could not install its packages" >&2
    exit 77
fi
cp package-lock.json installed.json
