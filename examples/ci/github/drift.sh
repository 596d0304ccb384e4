#!/usr/bin/env bash
# Compare live with declared. The job fails if they differ (exit 2), if an apply would be refused (exit 3), or if a tenancy
# could not be read (exit 1). The document of the plan states what was found in the other tenancies.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

mkdir -p "$FOLDER"
document=$FOLDER/drift.json markdown=$FOLDER/drift.md status=0 found=""
hooksync plan "${selection[@]}" "${probe[@]}" "${state[@]}" "${more[@]}" \
    --detailed-exitcode --format json >"$document" || status=$?

if contains "$document" '"format": "hooksync.plan/1"'; then # an error has a different format
    # the document is not signed, and the log already has its messages
    env -u HOOKSYNC_PLAN_KEY hooksync show "$document" --format markdown >"$markdown" 2>/dev/null || true
    show "$markdown"
    if contains "$document" '"outcome": "(changes|not-as-declared)"|"undeclared": \[$'; then
        found=drift
    elif contains "$document" '"outcome": "refused"'; then
        found=refused
    elif [ "$status" = 2 ] && contains "$document" '"outcome": "in-progress"'; then
        echo "::notice title=An apply is running::What it has begun was not compared."
        status=0 # the next check compares it; an open issue does not change
    elif [ "$status" = 0 ] && contains "$document" '"is_new": true'; then
        found=new
    elif [ "$status" = 0 ]; then
        found=nothing
    fi
fi
echo "found=$found" >>"$GITHUB_OUTPUT"
case $found in
    nothing) echo "drift=false" >>"$GITHUB_OUTPUT" ;;
    new)
        echo "drift=false" >>"$GITHUB_OUTPUT"
        echo "::warning title=New subscriptions::Live subscriptions are new, and the state does not have them; see the summary."
        ;;
    drift)
        echo "drift=true" >>"$GITHUB_OUTPUT"
        echo "::error title=Live is not as declared::A subscription differs, or no file declares a tenancy of the state; see the summary."
        ;;
    refused) echo "::error title=hooksync apply would refuse::Live may not be as declared, and an apply would be refused; see the summary." ;;
esac
[ "$status" != 1 ] || echo "::error title=hooksync could not compare everything::See the log for what could not be read."
exit "$status"
