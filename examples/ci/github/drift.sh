#!/usr/bin/env bash
# Compare live with declared. The job fails if they differ (exit 2), or if an apply would be refused (exit 3).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

mkdir -p "$FOLDER"
markdown=$FOLDER/drift.md status=0
hooksync plan "${selection[@]}" "${probe[@]}" "${state[@]}" "${more[@]}" \
    --detailed-exitcode --format markdown >"$markdown" || status=$?

show "$markdown"
echo "exit-code=$status" >>"$GITHUB_OUTPUT"
case $status in
    0) echo "drift=false" >>"$GITHUB_OUTPUT" ;;
    2)
        echo "drift=true" >>"$GITHUB_OUTPUT"
        echo "::error title=Live is not as declared::Somebody changed the tenancy, or a merge was not applied; see the summary."
        ;;
    3) echo "::error title=hooksync apply would refuse::Live may not be as declared, and an apply would be refused; see the summary." ;;
    *) echo "::error title=hooksync could not tell::It exited with $status; see the log." ;;
esac
exit "$status"
