# Functions for the other scripts here, which source this file from the top of the working tree.
# Each script has a temporary folder $work, which is removed at the end.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # the scripts set $python and use $tools

say() { printf '== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

is_new_enough() {
    "$1" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 # -I: without modules of the caller
}

# Print the Python to use: $PYTHON, or else the first suitable one of the arguments and the usual names.
find_python() {
    local name
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or later with venv"
        command -v "$PYTHON"
        return
    fi
    for name in "$@" python3.11 python3.12 python3.13 python3.14 python3 python; do
        if is_new_enough "$name"; then command -v "$name" && return; fi
    done
    fail "no Python 3.11 or later with venv was found; install one, or name it: PYTHON=/path/to/python3 $0"
}

# Copy all files that Git does not ignore to a folder.
copy_tree() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do
                if [ -e "$file" ]; then printf '%s\0' "$file"; fi
            done | tar -cf - --null -T - | tar -xf - -C "$1"
    else
        tar -cf - --exclude=./.git --exclude=./.venv . | tar -xf - -C "$1"
    fi
}

build_requirements() {
    "$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
}

# Install the tools of .ci/requirements-tools.txt into $tools, unless .ci/run has done it already.
make_tools() {
    if [ -z "${TOOLS:-}" ]; then
        "$python" -m venv "$work/tools"
        "$work/tools/bin/pip" install --quiet --no-compile --require-hashes --only-binary :all: -r .ci/requirements-tools.txt
        TOOLS=$work/tools/bin
    fi
    tools=$TOOLS
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
