# syntax=docker/dockerfile:1
# The tag moves as Python gets fixes. For builds that repeat, pin the digest beside it, which
# `docker buildx imagetools inspect python:3.13-slim-bookworm` prints: PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/hooksync \
 && pip --python /opt/hooksync/bin/python install "hooksync[cloud,totp] @ file://$(ls /wheels/hooksync-*.whl)"

FROM ${PYTHON_IMAGE}
# For a state on a branch: --state git:BRANCH.
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/hooksync /opt/hooksync
ENV PATH=/opt/hooksync/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["hooksync"]
CMD ["--help"]
