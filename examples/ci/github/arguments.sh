# shellcheck shell=bash
# Sourced by the others: turns the action's inputs, which come as variables, into arguments of hooksync, and shows what
# it prints. FILES, TENANCY, REPLACE, ADDRESSES and ARGS hold one a line; STATE is git:BRANCH, an object's URL, or a path.
# shellcheck disable=SC2016,SC2034 # the helper is for git to expand, the arrays are for those who source this

# Put each line of $2, after the flag $3, into the array named $1. No shell looks at the lines.
lines() {
    local -n into=$1
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || into+=("${3:-}$line")
    done <<<"$2"
}

# Show $1, what hooksync printed: in the log, folded under what it comes to, and in the job's summary. No line of it is a
# command to the runner: hooksync sees to that.
show() {
    [ -s "$1" ] || return 0
    echo "::group::$(sed -n '4{s/<[^>]*>//g;p}' "$1")"
    sed '1{/^<!--/d}' "$1"
    echo "::endgroup::"
    cat "$1" >>"$GITHUB_STEP_SUMMARY"
}

selection=() replace=() probe=() addresses=() state=() more=()
lines selection "${FILES:-}" --file=
lines selection "${TENANCY:-}" --tenancy=
lines replace "${REPLACE:-}" --replace=
lines more "${ARGS:-}"
lines addresses "${ADDRESSES:-}"
case ${PROBE:-} in
    "") ;;
    true) probe=(--probe) ;;
    false) probe=(--no-probe) ;;
    *)
        echo "::error title=Invalid input::probe is true or false"
        exit 64
        ;;
esac
[ -z "${STATE:-}" ] || state=("--state=$STATE")

# For a state on a branch, git gets the token of the job: the checkout need not keep it. And it trusts the checkout,
# which may not belong to the user of a container.
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0="credential.$GITHUB_SERVER_URL.helper"
export GIT_CONFIG_VALUE_0='!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'
export GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1="$GITHUB_WORKSPACE"
