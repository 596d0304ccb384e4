"""Completion scripts for shells, made from the parser itself, so that they know what it knows. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, get_args

from hooksync.core.record import Record

Shell = Literal["bash", "zsh", "fish"]
SHELLS: tuple[Shell, ...] = get_args(Shell)
Entries: TypeAlias = list[tuple[str, str]]  # words on offer, each with what it is for; that may be empty

_FILE_NAMES = ("PATH", "FILE", "PLAN")  # metavars of what is a file


class _Flag(Record, frozen=True):
    """An option or an argument, as completion needs it."""

    names: tuple[str, ...]  # empty: an argument
    text: str  # what it is for, on one line
    takes_value: bool
    choices: tuple[str, ...] = ()
    is_file: bool = False


class _Place(Record, frozen=True):
    """What can follow one chain of commands."""

    path: str  # "", "plan", "secret generate"
    commands: tuple[tuple[str, str], ...]  # each with what it does
    flags: tuple[_Flag, ...]


def completion_script(parser: argparse.ArgumentParser, shell: Shell) -> str:
    """Write the script that makes a shell complete this parser's commands, flags and values."""
    places = list(_places(parser, ""))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](places)


def _places(parser: argparse.ArgumentParser, path: str) -> Iterator[_Place]:
    commands: list[tuple[str, str]] = []
    flags: list[_Flag] = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = action.choices
            commands = [(choice.dest, choice.help or "") for choice in action._get_subactions()]
        else:
            flags.append(_flag(action))
    yield _Place(path, tuple(commands), tuple(flags))
    for name, child in below.items():
        yield from _places(child, f"{path} {name}".strip())


def _flag(action: argparse.Action) -> _Flag:
    names = tuple(sorted(action.option_strings, key=lambda name: not name.startswith("--")))
    text = " ".join((action.help or "").replace("%%", "%").split())
    takes_value = action.nargs != 0
    return _Flag(names, text, takes_value, tuple(action.choices or ()), action.metavar in _FILE_NAMES)


# bash and zsh: two tables, one of what follows a flag, one of what may stand anywhere in a command

_BASH = """\
# bash completion of hooksync: source it, or save it as hooksync in bash-completion's folder
_hooksync() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" place="" word
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "${place:+$place }$word" in
            @PATHS@) place="${place:+$place }$word" ;;
            *) break ;;
        esac
    done
    local words="" files=""
    case "$place $previous" in
@VALUES@
        *)
            case "$place" in
@WORDS@
            esac
            ;;
    esac
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "${words// /$IFS}" -- "$current"))
    if [[ -n $files && $current != -* ]]; then
        COMPREPLY+=($(compgen -f -- "$current"))
        compopt -o filenames 2>/dev/null
    fi
}
complete -F _hooksync hooksync
"""
_ZSH = """\
#compdef hooksync
# zsh completion of hooksync: save it as _hooksync in a folder of $fpath, or source it after compinit
_hooksync() {
    local current="${words[CURRENT]}" previous="${words[CURRENT-1]}" place="" word files=""
    local -a names
    for word in "${(@)words[2,CURRENT-1]}"; do
        case "${place:+$place }$word" in
            @PATHS@) place="${place:+$place }$word" ;;
            *) break ;;
        esac
    done
    if [[ $current == --*=* ]]; then
        previous="${current%%=*}"
        compset -P '*='
    fi
    case "$place $previous" in
@VALUES@
        *)
            case "$place" in
@WORDS@
            esac
            ;;
    esac
    local status_of_all=1
    if (( ${#names} )); then
        _describe hooksync names && status_of_all=0
    fi
    if [[ -n $files && $current != -* ]]; then
        _files && status_of_all=0
    fi
    return status_of_all
}
if [[ $funcstack[1] == _hooksync ]]; then
    _hooksync "$@"
else
    compdef _hooksync hooksync
fi
"""


def _bash(places: list[_Place]) -> str:
    return _filled(_BASH, places, lambda entries: f'words="{" ".join(name for name, _ in entries)}"')


def _zsh(places: list[_Place]) -> str:
    return _filled(_ZSH, places, lambda entries: f"names=({' '.join(_zsh_entry(*entry) for entry in entries)})")


def _filled(template: str, places: list[_Place], words: Callable[[Entries], str]) -> str:
    """Put the tables into a script. `words`: writes what sets the words on offer, each with its description."""
    values = [line for place in places for line in _value_lines(place, words)]
    rows = [f"                '{place.path}') {words(_entries(place))}{_files(place)} ;;" for place in places]
    paths = "|".join(f"'{place.path}'" for place in places if place.path)
    parts = {"@PATHS@": paths, "@VALUES@": "\n".join(values), "@WORDS@": "\n".join(rows)}
    for mark, part in parts.items():
        template = template.replace(mark, part)
    return template


def _value_lines(place: _Place, words: Callable[[Entries], str]) -> Iterator[str]:
    """Say what follows each flag that takes a value: its choices, a file, or what nobody can guess."""
    for flag in place.flags:
        if flag.takes_value and flag.names:
            patterns = "|".join(f"'{place.path} {name}'" for name in flag.names)
            offered = words([(choice, "") for choice in flag.choices]) if flag.choices else ":"
            yield f"        {patterns}) {'files=1' if flag.is_file else offered} ;;"


def _entries(place: _Place) -> Entries:
    flags = [(name, flag.text) for flag in place.flags for name in flag.names if name.startswith("--")]
    choices = [(choice, "") for flag in place.flags if not flag.names for choice in flag.choices]
    return [*place.commands, *choices, *flags]


def _files(place: _Place) -> str:
    return "; files=1" if any(flag.is_file and not flag.names for flag in place.flags) else ""


def _zsh_entry(name: str, text: str) -> str:
    whole = f"{name}:{text}" if text else name
    return "'" + whole.replace("'", "'\\''") + "'"


def _fish(places: list[_Place]) -> str:
    lines = [
        "# fish completion of hooksync: save it as hooksync.fish in a completions folder",
        "complete -c hooksync -f",
    ]
    for place in places:
        start = f"complete -c hooksync -n {_fish_quoted(_fish_condition(place))}"
        lines += [f"{start} -a {name} -d {_fish_quoted(text)}" for name, text in place.commands]
        lines += [f"{start} {_fish_flag(flag)}" for flag in place.flags]
    return "\n".join(lines) + "\n"


def _fish_condition(place: _Place) -> str:
    seen = [f"__fish_seen_subcommand_from {name}" for name in place.path.split()] or ["__fish_use_subcommand"]
    if place.path and place.commands:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(name for name, _ in place.commands)}")
    return "; and ".join(seen)


def _fish_flag(flag: _Flag) -> str:
    words = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    if flag.is_file:
        words += ["-r -F"] if flag.names else ["-F"]
    elif flag.names and flag.takes_value:
        words.append("-x")
    if flag.choices:
        words.append(f"-a {_fish_quoted(' '.join(flag.choices))}")
    return " ".join([*words, f"-d {_fish_quoted(flag.text)}"])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
