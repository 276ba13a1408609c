#!/bin/sh
# Fetches the real parts that the tests use into .cache/parts, without installing or starting them.
# Only where CI is set and the machine is Debian's; elsewhere the tests take what PATH offers.
set -eu
[ -n "${CI:-}" ] || exit 0
here=$(cd "$(dirname "$0")/.." && pwd)
parts="$here/.cache/parts"
[ -x "$parts/usr/bin/prometheus" ] && [ -x "$parts/usr/bin/promtool" ] && exit 0
mkdir -p "$parts"
cd "$parts"
apt-get update -qq
apt-get download -qq prometheus
for package in *.deb; do dpkg -x "$package" "$parts"; done
rm -f -- *.deb
