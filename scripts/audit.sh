#!/usr/bin/env bash
# Check the locked packages for known vulnerabilities. Exit code 0: none, 1: some, 2: the check failed.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp)
trap 'rm -f "$report" "$report.errors"' EXIT

# The lock file lists everything, so nothing is resolved or installed. Packages unknown to the service fail (--strict).
pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off \
    --format columns --output "$report" 2>"$report.errors"
code=$?

if [ "$code" -ne 0 ] && [ ! -s "$report" ]; then
    echo "audit: nothing was checked, as the vulnerability service did not answer for all packages:" \
        "$(tail -n 1 "$report.errors" | cut -c 1-300)" >&2
    exit 2
fi
cat "$report.errors" "$report"
exit "$code"
