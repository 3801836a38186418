#!/usr/bin/env bash
# Installs the load generators and the servers to compare with, if apt-get and root or sudo are available. The benchmark
# reports the figures of programs that are still missing as not measured.
set -uo pipefail

# Program and Debian package.
peers=("etcd etcd-server" "h2load nghttp2-client" "redis-server redis-server" "pgbench postgresql-contrib")

installed() {
    PATH="$PATH:/usr/sbin:$(printf ':%s' /usr/lib/postgresql/*/bin)" command -v "$1" >/dev/null
}

packages=()
for peer in "${peers[@]}"; do
    read -r program package <<<"$peer"
    installed "$program" || packages+=("$package")
done
if [ ${#packages[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "not installed, because this needs apt-get and root or sudo: ${packages[*]}" >&2
    exit 0
fi

# Keep packages from starting servers.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq >&2
for package in "${packages[@]}"; do
    echo "installing $package" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends --yes "$package" >&2 ||
        echo "not installed: $package" >&2
done
exit 0
