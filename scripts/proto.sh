#!/usr/bin/env bash
# Generate the Python code, the type stubs, the descriptor set, the OpenAPI document and the reference of protos/ into
# folders: scripts/proto.sh [folder, default generated] [folder of the reference, default docs/reference/api]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-generated}
reference=${2:-docs/reference/api}
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$output" "$reference" "$fresh/configapi"

# Comments for buf are no documentation: readers of stubs, of the descriptor set and of reflection do not get them.
cp -r protos "$fresh/protos"
find "$fresh/protos" -name '*.proto' -exec sed -i '/^ *\/\/ buf:lint:ignore /d' {} +

mapfile -t files < <(cd protos && find . -name '*.proto' -printf '%P\n' | LC_ALL=C sort)
# The plugins for type stubs are found through PATH.
protoc() { PATH="$PWD/.venv/bin:$PATH" .venv-proto/bin/python -m grpc_tools.protoc -I"$fresh/protos" -Ithird_party "$@"; }
protoc \
    --python_out="$fresh" --mypy_out=quiet:"$fresh" \
    --grpc_python_out="$fresh" --mypy_grpc_out=quiet:"$fresh" \
    "${files[@]}"

# protoc's plugin writes a grpc module for every file; remove the empty ones of files without a service.
for file in "${files[@]}"; do
    grep -qE '^service ' "protos/$file" || rm -f "$fresh/${file%.proto}"_pb2_grpc.py{,i}
done
touch "$fresh/configapi/py.typed"

# For tools that need no stubs (grpcurl -protoset, Envoy, buf curl). Error details: clients decode them from statuses.
protoc --include_imports --include_source_info --descriptor_set_out="$fresh/configapi/descriptors.binpb" \
    "${files[@]}" google/rpc/error_details.proto
find "$fresh/configapi" -type d -exec touch {}/__init__.py \;
# From the new code, wherever the environment has the old.
PYTHONPATH="$fresh" .venv/bin/python -B -m scripts.openapi "$fresh/configapi/descriptors.binpb" \
    "$fresh/configapi/openapi.json" "$fresh/reference"

# Replaced as a whole, so that no code of removed protos stays, and a failed run leaves no empty folder.
chmod -R u=rwX,go=rX "$fresh/configapi"
rm -rf "$output/configapi"
mv "$fresh/configapi" "$output/configapi"
rm -rf "$reference"
mv "$fresh/reference" "$reference"
