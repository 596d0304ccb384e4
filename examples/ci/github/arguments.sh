# shellcheck shell=bash
# Sourced by the others: turns the action's inputs, which come as variables, into arguments of hooksync.
# FILES, TENANCY and REPLACE hold one a line; LOCK is a path, "none", or empty for hooksync's own choice.
# shellcheck disable=SC2034
selection=() replace=() lock=()
while IFS= read -r line; do
    [ -z "$line" ] || selection+=("--file=$line")
done <<<"${FILES:-}"
while IFS= read -r line; do
    [ -z "$line" ] || selection+=("--tenancy=$line")
done <<<"${TENANCY:-}"
while IFS= read -r line; do
    [ -z "$line" ] || replace+=("--replace=$line")
done <<<"${REPLACE:-}"
case ${LOCK:-} in
    "") ;;
    none) lock=(--no-lock) ;;
    *) lock=("--lock=$LOCK") ;;
esac
