#!/usr/bin/env bash
# All checks that need no running service. Every step runs, so that one run shows all faults.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
failed=()

step() {
    local name=$1
    shift
    echo "--- $name"
    "$@" || failed+=("$name")
}

step "ruff format" ruff format --check --quiet .
step "ruff lint" ruff check --quiet .
step "types" basedpyright
step "layers" lint-imports --no-cache --no-logo
step "buf lint" buf lint
step "buf format" buf format protos --diff --exit-code
step "buf breaking" scripts/breaking.sh
step "generated code" scripts/generated-fresh.sh
step "OpenAPI" scripts/lint-openapi.sh
step "Swagger UI" scripts/swagger-ui.sh --check
step "console" scripts/console.sh --check
step "stubs of other languages" scripts/stubs.sh
step "SQL" scripts/lint-sql.sh

if [ ${#failed[@]} -gt 0 ]; then
    printf 'check failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "check passed"
