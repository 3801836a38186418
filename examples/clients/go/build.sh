#!/usr/bin/env bash
# Build FOLDER/client from get.go and follow.go, without modules: build.sh FOLDER.
# Debian: protobuf-compiler libprotobuf-dev protoc-gen-go protoc-gen-go-grpc golang-go golang-google-grpc-dev
# golang-google-genproto-dev
set -euo pipefail
folder=$(realpath --canonicalize-missing "$1")
cd "$(dirname "$0")/../../.."
mkdir -p "$folder/src/client"

# Debian's google.golang.org/genproto has the package of operations.proto, under its earlier name.
operations=Mgoogle/longrunning/operations.proto=google.golang.org/genproto/googleapis/longrunning
protoc -Iprotos -Ithird_party --go_out="$folder/src" --go_opt=$operations \
    --go-grpc_out="$folder/src" --go-grpc_opt=$operations protos/configapi/v1/*.proto
cp examples/clients/go/*.go deploy/service-config.json "$folder/src/client/"
GO111MODULE=off GOFLAGS='' GOPATH="$folder:/usr/share/gocode" go build -o "$folder/client" client
