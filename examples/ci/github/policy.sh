#!/usr/bin/env bash
# Fetch the policy from the default branch, never from a change under review, and never from an older commit.
set -euo pipefail

mkdir -p "$FOLDER"
file=$FOLDER/policy.yaml
if ! gh api --method GET -H "Accept: application/vnd.github.raw+json" \
    "repos/$GITHUB_REPOSITORY/contents/$POLICY" >"$file"; then
    echo "::error title=No policy::It could not be read from the default branch: it has to be merged first."
    exit 1
fi
echo "file=$file" >>"$GITHUB_OUTPUT"
