#!/usr/bin/env bash
# Plan, save the plan, and put it into the job's summary. Succeeds with and without changes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

mkdir -p "$FOLDER"
plan=$FOLDER/plan.json markdown=$FOLDER/plan.md status=0
hooksync plan "${selection[@]}" "${replace[@]}" "${state[@]}" \
    --detailed-exitcode --out "$plan" --format markdown >"$markdown" || status=$?

cat "$markdown" >>"$GITHUB_STEP_SUMMARY"
{
    case $status in
        0) echo "changes=false" ;;
        2) echo "changes=true" ;;
    esac
    [ ! -s "$markdown" ] || echo "markdown=$markdown"
} >>"$GITHUB_OUTPUT"

[ "$status" -ne 2 ] || status=0
exit "$status"
