#!/usr/bin/env bash
# Copy the protos that ours import into build/protos, from the Python packages that contain them.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$(.venv/bin/python -c 'import google.rpc, pathlib; print(pathlib.Path(next(iter(google.rpc.__path__))).parents[1])')
folder=build/protos/google
mkdir -p $folder/api $folder/rpc $folder/longrunning
cp "$source"/google/api/{annotations,client,field_behavior,http,launch_stage}.proto $folder/api/
cp "$source"/google/rpc/status.proto $folder/rpc/
# In the package its name differs from the one that it is imported by.
cp "$source"/google/longrunning/operations_proto.proto $folder/longrunning/operations.proto
