"""Look up secrets by their references: read a variable, a file or a program's output.

Only this module looks up references. Messages name the reference, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import Lock
from typing import assert_never

from hooksync.config.declarations import ON_DEVICE, reference_problem, unset_problem
from hooksync.config.files import is_device, real_path
from hooksync.core.context import Context
from hooksync.core.errors import Problem, SecretError, os_reason
from hooksync.core.model import (
    Secret,
    SecretRef,
    Secrets,
    SecretState,
    is_own,
    process_environ,
)
from hooksync.core.reading import read_file

_COMMAND_FIX = (
    "run it yourself to see its output; it must not prompt, and must print only the secret"
)
_NOT_TEXT = re.compile("[\ud800-\udfff]")  # surrogates: they stand for bytes that are not UTF-8
_MOST_BYTES = 64 * 1024  # bytes
FIX = "make one with `hooksync secret generate`, and give it to the receiver too"


class SecretSources:
    """Finds the secrets of a run, and looks up each only once. Thread-safe.

    The redactor learns each value when it is read, so that no output can show it.
    """

    def __init__(self, context: Context, timeout: float = 30.0) -> None:
        """`timeout`: seconds for a program."""
        self._context = context
        self._timeout = timeout
        self._found: dict[tuple[str, SecretRef], Secret | Problem] = {}  # by noun and source
        self._lock = Lock()

    def find(self, ref: SecretRef) -> Secret:
        """Return one secret or credential. Raises SecretError if it cannot be used."""
        return self.find_all([ref])[ref]

    def find_all(self, refs: Iterable[SecretRef]) -> Secrets:
        """Return several secrets or credentials.

        Raises one SecretError that names all that are missing or cannot be used.
        """
        secrets_by_ref, problems = self.look_up(refs)
        if problems:
            raise SecretError.of(dict.fromkeys(problems.values()))
        return secrets_by_ref

    def look_up(self, refs: Iterable[SecretRef]) -> tuple[Secrets, dict[SecretRef, Problem]]:
        """Return the secrets or credentials that are found, and the problems of the others.

        All variables that are not set have the same problem, which names them.
        """
        secrets_by_ref: dict[SecretRef, Secret] = {}
        problems: dict[SecretRef, Problem] = {}
        unset = []
        for ref in dict.fromkeys(refs):
            if self.state_without(ref) == "not-set":
                unset.append(ref)
                continue
            key = ref.noun, ref
            with self._lock:
                if key not in self._found:
                    self._found[key] = self._read(ref)
                found = self._found[key]
            if isinstance(found, Problem):
                problems[ref] = found
            else:
                secrets_by_ref[ref] = found
        if unset:
            subjects = [ref.subject for ref in unset]
            problem = unset_problem(subjects, self._context.environ, unset[0].location)
            problems |= dict.fromkeys(unset, problem)
        return secrets_by_ref, problems

    def state_without(self, ref: SecretRef) -> SecretState:
        """Return why a reference has no value."""
        is_unset = ref.variable and not self._context.environ.get(ref.variable)
        return "not-set" if is_unset else "unusable"

    def _read(self, ref: SecretRef) -> Secret | Problem:
        """Read a secret from its source, and teach it to the redactor.

        A secret, but not a credential, must be printable ASCII, so that service and receiver use
        the same bytes.
        """
        try:
            match ref.kind:
                case "env":
                    value = self._context.environ[ref.name]
                case "file":
                    value = _from_file(ref)
                case "command":
                    value = self._from_command(ref)
                case _:
                    assert_never(ref.kind)
            if _NOT_TEXT.search(value):
                raise _Unusable("is not UTF-8 text", "write the secret as printable ASCII")
            # a username from a variable is shown, and is often a common word
            if (ref.noun, ref.kind) != ("username", "env"):
                self._context.output.learn([value])
            if ref.noun == "secret" and not re.fullmatch("[ -~]*", value):
                raise _Unusable(
                    "contains characters outside printable ASCII",
                    "use letters, digits and punctuation, and no line break at the end",
                )
        except _Unusable as error:
            # without the error, whose context may contain the value
            return reference_problem(ref, *error.args)
        return Secret(value)

    def _from_command(self, ref: SecretRef) -> str:
        """Run a program without a shell, and return its output. No message quotes the output.

        The program has no terminal and no input. It inherits neither the variables of hooksync
        itself nor those that files set. It is ended at a timeout or a signal. Its children are
        always ended.
        """
        inherited = process_environ(self._context.environ)
        environ = {name: inherited[name] for name in inherited if not is_own(name)}
        from hooksync.core import programs  # few runs have such a secret

        try:
            code, data, _ = programs.run(
                ref.value,
                environ,
                self._timeout,
                _MOST_BYTES,
                stop=self._context.stop,
                ends_children=True,
            )
            reason = f"it ended with exit code {code}" if code else ""
        except (OSError, ValueError) as error:
            reason = os_reason(error)
        if reason:
            raise _Unusable(f"cannot be read: {ref.value[0]}: {reason}", _COMMAND_FIX)
        return _text_of(data)


class _Unusable(Exception):
    """A source contains no usable secret: the arguments are what is wrong with it, and a fix."""


def _from_file(ref: SecretRef) -> str:
    """Read a secret from a file. Raises _Unusable if that is not possible."""
    path = real_path(ref)
    if is_device(path):  # checked before in `declarations`, but a link may have changed since
        raise _Unusable(*ON_DEVICE)
    try:
        return _text_of(read_file(path, _MOST_BYTES))
    except (OSError, ValueError) as error:  # ValueError: a null character, or half of a surrogate
        raise _Unusable(
            f"cannot be read: {os_reason(error)}",
            "check the path (a relative one starts at the folder of the hooks file) and its"
            " permissions",
        ) from None


def _text_of(data: bytes) -> str:
    """Decode the content of a file or the output of a program, without one final line break."""
    fix = "see that it gives the secret and nothing else"
    if len(data) > _MOST_BYTES:
        raise _Unusable("is larger than 64 KiB", fix)
    text = data.decode("utf-8", "surrogateescape")  # as Python decodes the environment on POSIX
    value = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not value:
        raise _Unusable("is empty", fix)
    return value


def doubt_about(secret: Secret, ref: SecretRef) -> Problem | None:
    """Return a warning if a secret is easy to guess; otherwise None."""
    fault = secret.weakness
    return reference_problem(ref, fault, FIX) if fault else None
