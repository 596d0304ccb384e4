#!/usr/bin/env bash
# Check the files: no network, no secrets. What is wrong shows up beside its line in the pull request.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

echo "::add-matcher::$(dirname "${BASH_SOURCE[0]}")/problem-matcher.json"
hooksync validate "${selection[@]}" "${more[@]}"
