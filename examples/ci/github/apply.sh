#!/usr/bin/env bash
# Apply exactly the saved plan. hooksync plans again from the commit of the checkout, and refuses the plan (exit 3) if the
# steps differ. The plan contains its selection; only the hooks files are named again.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

markdown=$FOLDER/apply.md status=0
hooksync apply "$FOLDER/plan.json" "${selection[@]}" "${state[@]}" "${more[@]}" \
    --max-age "$MAX_AGE" --report "$FOLDER/report.json" --format markdown >"$markdown" || status=$?

show "$markdown"
case $status in
    0) ;;
    3) echo "::error title=hooksync refused the plan::Nothing was changed. Start this workflow by hand for a new plan." ;;
    4) echo "::error title=hooksync applied in part::See the summary for what was done; start this workflow by hand." ;;
    *) echo "::error title=hooksync failed::It exited with $status; see the log." ;;
esac
exit "$status"
