#!/usr/bin/env bash
# Installs what the service is measured with and against, where apt-get and root or sudo are. Whatever is not there in the end,
# the benchmark leaves out and says so.
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
    echo "not installed, for want of apt-get and root or sudo: ${packages[*]}" >&2
    exit 0
fi

# A package must not start a server of its own at the ports that it likes.
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
