#!/usr/bin/env bash
# Plan, save the plan, and show it in the log and in the summary of the job. The step succeeds with and without changes. If
# hooksync refuses or cannot plan a tenancy, the step fails: with SINCE, it is one that the pull request changes. Without
# SINCE, a person asked for all tenancies, and the saved plan leaves that tenancy out.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

mkdir -p "$FOLDER"
plan=$FOLDER/plan.json markdown=$FOLDER/plan.md status=0
hooksync plan "${selection[@]}" "${since[@]}" "${replace[@]}" "${probe[@]}" "${state[@]}" "${more[@]}" \
    --out "$plan" --format markdown >"$markdown" || status=$?

show "$markdown"
[ ! -s "$markdown" ] || echo "markdown=$markdown" >>"$GITHUB_OUTPUT"
if [ "${#since[@]}" = 0 ] && [ -s "$plan" ] && [ "$status" != 0 ]; then
    echo "::warning title=Not all tenancies::The plan leaves out those that were refused or not read; see the summary."
    status=0
fi
case $status in
    0) changes "$plan" ;;
    3) echo "::error title=hooksync would refuse this plan::See the summary for why; a merge would not apply what is refused." ;;
    *) echo "::error title=hooksync could not plan::It exited with $status; see the log." ;;
esac
exit "$status"
