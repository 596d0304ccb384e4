#!/usr/bin/env bash
# Fetch the policy from the base of the pull request, or else from the default branch: never from what is under review.
set -euo pipefail

mkdir -p "$FOLDER"
file=$FOLDER/policy.yaml from=()
[ -z "$BASE" ] || from=(-f "ref=$BASE")
if ! gh api --method GET -H "Accept: application/vnd.github.raw+json" "${from[@]}" \
    "repos/$GITHUB_REPOSITORY/contents/$POLICY" >"$file"; then
    echo "::error title=No policy::It could not be read from ${BASE:-the default branch}: it has to be merged first."
    exit 1
fi
echo "file=$file" >>"$GITHUB_OUTPUT"
