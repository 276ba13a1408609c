#!/bin/sh
# Fetches the real parts that the tests use into .cache/parts, without installing or starting them.
# Only where CI is set and the machine is Debian's; elsewhere the tests take what PATH offers.
set -eu
[ -n "${CI:-}" ] || exit 0
here=$(cd "$(dirname "$0")/.." && pwd)
parts="$here/.cache/parts"
mkdir -p "$parts"
# A wheel with libFuzzer in it; nothing is installed where there is none for this machine.
[ -d "$parts/fuzz" ] || "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --only-binary :all: --require-hashes --target "$parts/fuzz" -r "$here/requirements/fuzz.txt"
[ -x "$parts/usr/bin/prometheus" ] && [ -x "$parts/usr/bin/promtool" ] && exit 0
cd "$parts"
apt-get update -qq
apt-get download -qq prometheus
for package in *.deb; do dpkg -x "$package" "$parts"; done
rm -f -- *.deb
