#!/usr/bin/env bash
# Puts the protos of others that ours import into build/protos, from the packages that bring their Python code.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$(.venv/bin/python -c 'import google.rpc, pathlib; print(pathlib.Path(next(iter(google.rpc.__path__))).parents[1])')
folder=build/protos/google
mkdir -p $folder/api $folder/rpc $folder/longrunning
cp "$source"/google/api/{annotations,client,field_behavior,http,launch_stage}.proto $folder/api/
cp "$source"/google/rpc/status.proto $folder/rpc/
# The package keeps it under another name than the one by which it is imported and registered.
cp "$source"/google/longrunning/operations_proto.proto $folder/longrunning/operations.proto
