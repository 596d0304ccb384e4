# shellcheck shell=bash
# Sourced by the others: turns the action's inputs, which come as variables, into arguments of hooksync.
# FILES, TENANCY and REPLACE hold one a line; STATE is git:BRANCH, an object's URL, a path, or "none".
# shellcheck disable=SC2016,SC2034 # the helper is for git to expand, the arrays are for those who source this
selection=() replace=() state=()
while IFS= read -r line; do
    [ -z "$line" ] || selection+=("--file=$line")
done <<<"${FILES:-}"
while IFS= read -r line; do
    [ -z "$line" ] || selection+=("--tenancy=$line")
done <<<"${TENANCY:-}"
while IFS= read -r line; do
    [ -z "$line" ] || replace+=("--replace=$line")
done <<<"${REPLACE:-}"
case ${STATE:-} in
    "") ;;
    none) state=(--no-state) ;;
    *) state=("--state=$STATE") ;;
esac

# For a state on a branch, git gets the token of the job: the checkout need not keep it. And it trusts the checkout,
# which may not belong to the user of a container.
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0="credential.$GITHUB_SERVER_URL.helper"
export GIT_CONFIG_VALUE_0='!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'
export GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1="$GITHUB_WORKSPACE"
