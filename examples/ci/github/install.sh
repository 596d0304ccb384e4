#!/usr/bin/env bash
# Install hooksync from the checkout of this action into an environment of its own, and put it on the path.
set -euo pipefail

venv=$RUNNER_TEMP/hooksync-venv extras=totp
case ${STATE:-} in
    *://*) extras=cloud,totp ;;
esac
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check "${GITHUB_ACTION_PATH}[$extras]"
"$venv/bin/hooksync" --version
printf '%s\n' "$venv/bin" >>"$GITHUB_PATH"
