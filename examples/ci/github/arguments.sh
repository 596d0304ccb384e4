# shellcheck shell=bash
# The other scripts source this file. It turns the inputs of the action, which are variables, into arguments of hooksync,
# and shows its output. FILES, TENANCY, REPLACE, ADOPT and ARGS have one value per line. STATE is git:BRANCH, the URL
# of an object, or a path.
# shellcheck disable=SC2016,SC2034 # git expands the helper; the other scripts use the arrays

# lines ARRAY TEXT FLAG: append each line of a text, after a flag, to an array. No shell evaluates the lines.
lines() {
    local -n into=$1
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || into+=("${3:-}$line")
    done <<<"$2"
}

# show FILE: show the output of hooksync in the log, folded below its summary line, and in the summary of the job. hooksync
# makes sure that no line is a command to the runner.
show() {
    [ -s "$1" ] || return 0
    echo "::group::$(sed -n '4{s/<[^>]*>//g;p}' "$1")"
    sed '1{/^<!--/d}' "$1"
    echo "::endgroup::"
    cat "$1" >>"$GITHUB_STEP_SUMMARY"
}

# contains FILE PATTERN: whether a line of a document of hooksync matches. In a JSON string, a quotation mark has a backslash
# before it, so no text in the document can look like a field.
contains() {
    grep --quiet --extended-regexp "$2" "$1"
}

# changes PLAN: output whether a saved plan changes anything.
changes() {
    if contains "$1" '"outcome": "changes"'; then
        echo "changes=true" >>"$GITHUB_OUTPUT"
    else
        echo "changes=false" >>"$GITHUB_OUTPUT"
    fi
}

selection=() replace=() since=() probe=() state=() more=()
lines selection "${FILES:-}" --file=
lines selection "${TENANCY:-}" --tenancy=
lines replace "${REPLACE:-}" --replace=
lines replace "${ADOPT:-}" --adopt=
lines more "${ARGS:-}"
case "${PROBE:-}" in
"") ;;
true) probe=(--probe) ;;
*) echo "::error::the input probe must be true or empty" && exit 64 ;;
esac
[ -z "${SINCE:-}" ] || since=("--since=$SINCE")
[ -z "${STATE:-}" ] || state=("--state=$STATE")

# For a state on a branch, git gets the token of the job, so the checkout need not keep it. git also trusts the checkout,
# which may belong to a different user in a container.
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0="credential.$GITHUB_SERVER_URL.helper"
export GIT_CONFIG_VALUE_0='!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'
export GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1="$GITHUB_WORKSPACE"
