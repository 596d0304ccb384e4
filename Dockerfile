# syntax=docker/dockerfile:1
# The tag moves as Python gets fixes. For builds that repeat, pin the digest beside it, which
# `docker buildx imagetools inspect python:3.13-slim-bookworm` prints: PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN .ci/install /opt/hooksync

FROM ${PYTHON_IMAGE}
# For a state on a branch: --state git:BRANCH. Not held to a version: Debian keeps the newest alone, with its fixes.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/hooksync /opt/hooksync
ENV PATH=/opt/hooksync/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["hooksync"]
CMD ["--help"]
