#!/usr/bin/env bash
# Generate the Python code and type stubs of protos/ into a folder: scripts/proto.sh [folder, default generated]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-generated}
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$output" "$fresh/configapi"

scripts/known-protos.sh
# The well-known types are in the folder of grpc_tools; the plugins are found through PATH.
well_known=$(.venv/bin/python -c 'import grpc_tools, pathlib; print(pathlib.Path(grpc_tools.__file__).parent / "_proto")')
mapfile -t files < <(cd protos && find . -name '*.proto' -printf '%P\n' | LC_ALL=C sort)
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m grpc_tools.protoc \
    --proto_path=protos --proto_path=build/protos --proto_path="$well_known" \
    --python_out="$fresh" --mypy_out=quiet:"$fresh" \
    --grpc_python_out="$fresh" --mypy_grpc_out=quiet:"$fresh" \
    "${files[@]}"

# protoc's plugin writes a grpc module for every file; remove the empty ones of files without a service.
for file in "${files[@]}"; do
    grep -qE '^service ' "protos/$file" || rm -f "$fresh/${file%.proto}"_pb2_grpc.py{,i}
done
touch "$fresh/configapi/py.typed"
find "$fresh/configapi" -type d -exec touch {}/__init__.py \;

# Replaced as a whole, so that no code of removed protos stays, and a failed run leaves no empty folder.
chmod -R u=rwX,go=rX "$fresh/configapi"
rm -rf "$output/configapi"
mv "$fresh/configapi" "$output/configapi"
