#!/usr/bin/env bash
# Plan, save the plan, and show it in the log and in the summary of the job. The step succeeds with and without changes. If
# hooksync refuses the plan (exit 3), the step fails and saves no plan; the summary and the comment show the reason.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

mkdir -p "$FOLDER"
plan=$FOLDER/plan.json markdown=$FOLDER/plan.md status=0
hooksync plan "${selection[@]}" "${replace[@]}" "${probe[@]}" "${state[@]}" "${more[@]}" \
    --detailed-exitcode --out "$plan" --format markdown >"$markdown" || status=$?

show "$markdown"
{
    case $status in
        0) echo "changes=false" ;;
        2) echo "changes=true" ;;
    esac
    [ ! -s "$markdown" ] || echo "markdown=$markdown"
} >>"$GITHUB_OUTPUT"

case $status in
    0 | 2) status=0 ;;
    3) echo "::error title=hooksync would refuse this plan::See the summary for why. Nothing was saved, so a merge would apply nothing." ;;
    *) echo "::error title=hooksync could not plan::It exited with $status; see the log." ;;
esac
exit "$status"
