#!/usr/bin/env bash
# Show a saved plan to its approvers, and output whether it changes anything. Needs no secrets.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

markdown=$FOLDER/shown.md status=0
hooksync show "$FOLDER/plan.json" "${more[@]}" \
    --max-age "$MAX_AGE" --detailed-exitcode --format markdown >"$markdown" || status=$?

show "$markdown"
case $status in
    0) echo "changes=false" >>"$GITHUB_OUTPUT" ;;
    2) echo "changes=true" >>"$GITHUB_OUTPUT" ;;
    *)
        echo "::error title=hooksync could not show the plan::It exited with $status; see the log."
        exit "$status"
        ;;
esac
