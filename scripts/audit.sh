#!/usr/bin/env bash
# Asks which vulnerabilities are known of what the service is installed with. Ends with 0: none, 1: some, 2: nobody could
# be asked.
set -uo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp)
trap 'rm -f "$report" "$report.errors"' EXIT

# The lock file names everything, so nothing has to be resolved or installed. What the service does not know fails (--strict).
pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off \
    --format columns --output "$report" 2>"$report.errors"
code=$?

if [ "$code" -ne 0 ] && [ ! -s "$report" ]; then
    echo "audit: nothing was checked, for the service of known vulnerabilities did not answer for all packages:" \
        "$(tail -n 1 "$report.errors" | cut -c 1-300)" >&2
    exit 2
fi
cat "$report.errors" "$report"
exit "$code"
