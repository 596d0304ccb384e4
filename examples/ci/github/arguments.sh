# shellcheck shell=bash
# Sourced by the others: turns the action's inputs, which come as variables, into arguments of hooksync.
# FILES, TENANCY and REPLACE hold one a line; STATE is a path, "none", or empty for hooksync's own choice.
# shellcheck disable=SC2034
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
