#!/usr/bin/env bash
# Install hooksync from the checkout of this action into an environment of its own, and put it on the path. By locked
# hashes and wheels alone, and pip sees none of the job's secrets: see .ci/install.
set -euo pipefail

venv=$RUNNER_TEMP/hooksync-venv
"$GITHUB_ACTION_PATH/.ci/install" "$venv"
printf '%s\n' "$venv/bin" >>"$GITHUB_PATH"
