#!/usr/bin/env bash
# Generate the stubs of every language whose tools are installed, and compile them where its compiler is, too.
# Debian: protobuf-compiler libprotobuf-dev protobuf-compiler-grpc protobuf-compiler-grpc-java-plugin protoc-gen-go
# protoc-gen-go-grpc, and to compile ruby-grpc php-cli libgrpc-java libgrpc++-dev golang-google-grpc-dev
# golang-google-genproto-dev golang-github-golang-protobuf-1-5-dev. TypeScript: npm.
set -uo pipefail
cd "$(dirname "$0")/.."
output=build/stubs
npm_folder=build/stubs-npm
rm -rf $output
mapfile -t files < <(find protos third_party -name '*.proto' -printf '%P\n' | LC_ALL=C sort)
failed=()

has() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || return 1; done
}

# generate LANGUAGE PROTOC_ARGUMENT...
generate() {
    mkdir -p "$output/$1"
    protoc -Iprotos -Ithird_party "${@:2}" "${files[@]}"
}

# with_plugin LANGUAGE PLUGIN: messages by protoc itself, services by gRPC's plugin
with_plugin() {
    generate "$1" "--$1_out=$output/$1" "--grpc_out=$output/$1" "--plugin=protoc-gen-grpc=$(command -v "$2")"
}

cpp() { with_plugin cpp grpc_cpp_plugin; }
cpp_compiled() { (cd $output/cpp && g++ -std=c++17 -fsyntax-only -I. configapi/v1/configuration_service.grpc.pb.cc); }

java() { with_plugin java grpc_java_plugin; }
java_compiled() {
    local jars
    jars=$(printf '%s:' /usr/share/java/{protobuf,grpc-api,grpc-stub,grpc-protobuf,guava,geronimo-annotation-1.3-spec}.jar)
    find $output/java -name '*.java' -exec javac -J-XX:TieredStopAtLevel=1 -proc:none -nowarn -Xlint:none -cp "$jars" -d $output/classes {} + 2>&1 |
        grep -v '^Note:'
    return "${PIPESTATUS[0]}"
}

go() { generate go --go_out=$output/go --go-grpc_out=$output/go; }
go_compiled() {
    mkdir -p $output/gopath/src && cp -r $output/go/. $output/gopath/src/
    GO111MODULE=off GOFLAGS='' GOPATH="$PWD/$output/gopath:/usr/share/gocode" command go build configapi/v1
}

ruby() { with_plugin ruby grpc_ruby_plugin; }
ruby_compiled() { (cd $output/ruby && command ruby -I. -e 'require "configapi/v1/configuration_service_services_pb"'); }

php() { with_plugin php grpc_php_plugin; }
php_compiled() { find $output/php -name '*.php' -print0 | xargs -0 -n 1 -P 2 php -l >/dev/null; }

# Debian's package has no plugin for services in C#.
csharp() { generate csharp --csharp_out=$output/csharp; }

typescript() {
    mkdir -p $npm_folder && cp scripts/stubs/package*.json $npm_folder/
    (cd $npm_folder && npm ci --no-audit --no-fund --silent --prefer-offline) || return 77
    generate typescript "--ts_out=$output/typescript" "--plugin=protoc-gen-ts=$npm_folder/node_modules/.bin/protoc-gen-ts"
}
typescript_compiled() {
    rm -rf $npm_folder/src
    cp -r $output/typescript $npm_folder/src
    (cd $npm_folder && find src -name '*.ts' -exec node_modules/.bin/tsc --noEmit --strict --skipLibCheck --target es2022 \
        --module esnext --moduleResolution bundler {} +)
}

# language LANGUAGE "TOOLS TO GENERATE" "TOOLS TO COMPILE" [file that compiling needs]
language() {
    local name=$1 generators=$2 compilers=$3 needed=${4:-/}
    # Unquoted: lists of tools.
    if ! has protoc $generators; then
        echo "$name: skipped, as one of these is not installed: protoc $generators"
        return
    fi
    "$name"
    case $? in
        0) ;;
        77) echo "$name: skipped, as npm could not install its packages" && return ;;
        *) failed+=("$name") && return ;;
    esac
    if [ -z "$compilers" ] || ! has $compilers || [ ! -e "$needed" ]; then
        echo "$name: generated, not compiled: needs ${compilers:-a compiler} ${needed#/}"
    elif "${name}_compiled"; then
        echo "$name: generated and compiled"
    else
        failed+=("$name")
    fi
}

language cpp "grpc_cpp_plugin" "g++" /usr/include/grpcpp/grpcpp.h
language java "grpc_java_plugin" "javac" /usr/share/java/grpc-stub.jar
language go "protoc-gen-go protoc-gen-go-grpc" "go" /usr/share/gocode/src/google.golang.org/grpc
language ruby "grpc_ruby_plugin" "ruby" /usr/share/doc/ruby-grpc
language php "grpc_php_plugin" "php"
language csharp "" ""
language typescript "npm node" "node"

if [ ${#failed[@]} -gt 0 ]; then
    echo "stubs failed: ${failed[*]}" >&2
    exit 1
fi
