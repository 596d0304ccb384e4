#!/usr/bin/env bash
# Install hooksync from the checkout of this action into a separate environment, and add it to the path. .ci/install takes
# only wheels with locked hashes, and pip sees no secret of the job.
set -euo pipefail

venv=$RUNNER_TEMP/hooksync-venv
"$GITHUB_ACTION_PATH/.ci/install" "$venv"
printf '%s\n' "$venv/bin" >>"$GITHUB_PATH"
