#!/usr/bin/env bash
# Check the files, without a network and without secrets. The pull request shows each problem at its line.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/arguments.sh"

echo "::add-matcher::$(dirname "${BASH_SOURCE[0]}")/problem-matcher.json"
hooksync validate "${selection[@]}" "${more[@]}"
