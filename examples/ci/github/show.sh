#!/usr/bin/env bash
# Show a saved plan to its approvers, and output whether it changes anything. Needs no secrets.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

markdown=$FOLDER/shown.md status=0
hooksync show "$FOLDER/plan.json" "${more[@]}" \
    --max-age "$MAX_AGE" --format markdown >"$markdown" || status=$?

show "$markdown"
if [ ! -s "$markdown" ]; then
    echo "::error title=hooksync could not show the plan::It exited with $status; see the log."
    exit "$status"
fi
changes "$FOLDER/plan.json" # a plan that leaves out a tenancy has exit code 1 or 3
