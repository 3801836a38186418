#!/usr/bin/env bash
# Validate the OpenAPI document: against the specification, and with the rules of redocly.
set -euo pipefail
cd "$(dirname "$0")/.."
document=generated/configapi/openapi.json
openapi-spec-validator $document
scripts/web/install.sh || {
    status=$?
    [ $status = 77 ] && echo "redocly: skipped, see above" && exit 0
    exit $status
}
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    build/web-npm/node_modules/.bin/redocly lint --config scripts/web/redocly.yaml $document
