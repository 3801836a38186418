#!/usr/bin/env bash
# Lints the migrations and the functions with squawk, without the rollback parts: their purpose is to drop.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
for file in migrations/*.sql migrations/functions/*.sql; do
    sed '/^-- migrate: rollback/,$d' "$file" | .venv/bin/squawk --stdin-filepath "$file" || status=1
done
exit $status
