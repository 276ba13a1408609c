# The exporter on a slim Python: the wheels of the hashed lock in an environment of their own.
# Any Debian with Python 3.11 or later will do as the base; a release names it by its digest.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
ENV APP=/opt/vpc-cni-exporter \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements requirements
# Wheels alone, so that nothing is compiled here and nobody's setup.py runs.
RUN python3 -m venv --without-pip "$APP" \
 && python3 -m pip --python "$APP/bin/python" install --no-compile --only-binary :all: --require-hashes --requirement requirements/run.txt \
 && python3 -m pip install --target /tools --only-binary :all: --require-hashes --requirement requirements/build.txt
COPY . .
# Byte code is written now, since the root file system of a running container is read-only.
RUN PYTHONPATH=/tools python3 -m pip --python "$APP/bin/python" install --no-compile --no-deps --no-build-isolation . \
 && "$APP/bin/python" scripts/trim_image.py \
 && "$APP/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$APP/lib" \
 && "$APP/bin/vpc-cni-exporter" --version

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="vpc-cni-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the pod IP addresses of Amazon EKS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/vpc-cni-exporter /opt/vpc-cni-exporter
ENV PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 61681
ENTRYPOINT ["/opt/vpc-cni-exporter/bin/vpc-cni-exporter"]
