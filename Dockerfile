# syntax=docker/dockerfile:1
# The tag gets the fixes of Python. For a reproducible build, also pin the digest, which
# `docker buildx imagetools inspect python:3.13-slim-bookworm` prints: PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN .ci/install /opt/hooksync

FROM ${PYTHON_IMAGE}
# Git is for a state on a branch (--state git:BRANCH). Its version is not pinned, because Debian keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/hooksync /opt/hooksync
ENV PATH=/opt/hooksync/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can verify that it is not root.
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["hooksync"]
CMD ["--help"]
