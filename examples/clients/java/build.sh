#!/usr/bin/env bash
# Build Get and Follow into FOLDER: build.sh FOLDER. Prints the class path to run them with.
# Debian: protobuf-compiler libprotobuf-dev protobuf-compiler-grpc-java-plugin default-jdk-headless libgrpc-java
# libprotobuf-java libnetty-java libgoogle-gson-java libguava-java libperfmark-java libgeronimo-annotation-1.3-spec-java
set -euo pipefail
folder=$(realpath --canonicalize-missing "$1")
cd "$(dirname "$0")/../../.."
mkdir -p "$folder/generated" "$folder/classes"

# The protos of the service that the programs use; those of Google are not in Debian's packages.
protoc -Iprotos -Ithird_party --java_out="$folder/generated" --grpc-java_out="$folder/generated" \
    --plugin=protoc-gen-grpc-java="$(command -v grpc_java_plugin)" \
    configapi/v1/{application,change,configuration,configuration_service,content,method_rules,schema,selector}.proto \
    google/api/{annotations,client,field_behavior,http,launch_stage}.proto \
    google/longrunning/operations.proto google/rpc/{error_details,status}.proto
cp deploy/service-config.json "$folder/classes/"

# geronimo-annotation is for the compiler only.
jars=$(printf ':/usr/share/java/%s.jar' protobuf gson guava perfmark-api geronimo-annotation-1.3-spec \
    grpc-{api,context,core,netty,protobuf,protobuf-lite,stub} \
    netty-{buffer,codec,codec-http,codec-http2,common,handler,resolver,transport})
javac -J-XX:TieredStopAtLevel=1 -nowarn -proc:none -d "$folder/classes" -cp "$jars" -sourcepath "$folder/generated" \
    examples/clients/java/*.java
echo "$folder/classes$jars"
