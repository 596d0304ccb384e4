"""A reference becomes a secret here: from an environment variable or a file. New secrets are made here, too.

Only this module looks a secret up; a message names the reference and never the value. It warns of what people leave in
place by carelessness; it does not prove that a secret is strong.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise

from hooksync.config.declarations import device_problem
from hooksync.config.files import is_device, real_path
from hooksync.core.errors import Problem, SecretError, os_reason
from hooksync.core.model import Secret, SecretRef
from hooksync.core.reading import read_file
from hooksync.core.record import Record

_LARGEST_FILE = 64 * 1024  # bytes
_RANDOM_BYTES = 32  # of a new secret; as many as HMAC-SHA256 uses
SHORTEST_STRONG = 16  # bytes
FIX = "make one with `hooksync secret generate`, and give it to the receiver too"

_WORDS = (
    "secret", "changeme", "password", "passw0rd", "preservica", "webhook", "hook", "test", "example", "default",
    "admin", "qwerty", "letmein", "my", "shared", "key", "token", "the", "your", "here", "sandbox", "catalogue",
)  # fmt: skip
_WELL_KNOWN = re.compile(f"(?:{'|'.join(_WORDS)})+[0-9]{{0,4}}")  # such words alone, and perhaps a year
_SEPARATORS = re.compile("[^0-9a-z]+")


class SecretSources(Record, frozen=True):
    """Where secrets come from in this run."""

    HIDDEN = ("environ",)

    environ: Mapping[str, str]

    def find(self, ref: SecretRef) -> Secret:
        """Look a secret up. Raises SecretError when it is not set, empty, or cannot be read."""
        value = self._from_environment(ref) if ref.kind == "env" else _from_file(ref)
        if any("\ud800" <= character <= "\udfff" for character in value):  # what stands for other bytes
            raise SecretError(
                Problem(f"secret {ref} is not UTF-8 text", "write the secret as printable ASCII", ref.location)
            )
        return Secret(value)

    def find_shared(self, ref: SecretRef) -> Secret:
        """Look up a secret that signs. Service and receiver must see the same bytes: only printable ASCII will do.

        Raises SecretError when it is missing or holds another character.
        """
        secret = self.find(ref)
        if not all(" " <= character <= "~" for character in secret.reveal()):
            raise SecretError(
                Problem(
                    f"secret {ref} holds characters outside printable ASCII",
                    "services and receivers disagree on how to encode them: use letters, digits and punctuation",
                    ref.location,
                )
            )
        return secret

    def values(self, refs: Iterable[SecretRef]) -> Iterator[str]:
        """Return what references lead to, where they do: for the redactor and nothing else."""
        for ref in dict.fromkeys(refs):
            with suppress(SecretError):
                yield self.find(ref).reveal()

    def _from_environment(self, ref: SecretRef) -> str:
        value = self.environ.get(ref.name, "")
        if not value:
            state = "is empty" if ref.name in self.environ else "is not set"
            raise SecretError(
                Problem(f"secret {ref} {state}", f"export {ref.name}, or point the field at a file", ref.location)
            )
        return value


def _from_file(ref: SecretRef) -> str:
    data = _read(ref)
    if len(data) > _LARGEST_FILE:
        raise SecretError(Problem(f"secret {ref} is larger than 64 KiB", "point at the right file", ref.location))
    text = data.decode("utf-8", "surrogateescape")  # as the system hands on the environment
    value = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not value:
        raise SecretError(Problem(f"secret {ref} is empty", "write the secret into that file", ref.location))
    return value


def _read(ref: SecretRef) -> bytes:
    path = real_path(ref)
    if is_device(path):  # told before; a link may have changed since
        raise SecretError(device_problem(ref))
    try:
        return read_file(path, _LARGEST_FILE)
    except (OSError, ValueError) as error:  # ValueError: a null character, or half of a surrogate pair
        reason = os_reason(error) if isinstance(error, OSError) else "it is not a valid path"
        fix = "check the path (a relative one starts at the folder of the hooks file) and its permissions"
        raise SecretError(Problem(f"secret {ref} cannot be read: {reason}", fix, ref.location)) from error


class SecretCache:
    """Knows the secrets that services and receivers share."""

    def __init__(self, sources: SecretSources) -> None:
        self._sources = sources
        self._found: dict[SecretRef, Secret | SecretError] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SecretCache({len(self._found)} references)"

    def find(self, ref: SecretRef) -> Secret:
        """Return a secret. Raises SecretError when it is missing or cannot be used."""
        found = self._look_up([ref])[ref]
        if isinstance(found, SecretError):
            raise found
        return found

    def find_all(self, refs: Iterable[SecretRef]) -> dict[SecretRef, Secret]:
        """Return several secrets. Raises one SecretError that names all that are missing."""
        found = self._look_up(refs)
        if errors := [each for each in found.values() if isinstance(each, SecretError)]:
            raise SecretError(*(problem for error in errors for problem in error.problems))
        return {ref: each for ref, each in found.items() if isinstance(each, Secret)}

    def known(self, refs: Iterable[SecretRef]) -> dict[SecretRef, Secret]:
        """Return those that are found."""
        return {ref: each for ref, each in self._look_up(refs).items() if isinstance(each, Secret)}

    def values(self) -> list[str]:
        """Return all that were found so far: for the redactor and nothing else."""
        return [each.reveal() for each in self._found.values() if isinstance(each, Secret)]

    def not_set(self, refs: Iterable[SecretRef]) -> frozenset[SecretRef]:
        """Return the references whose secret is missing or cannot be used."""
        return frozenset(ref for ref, each in self._look_up(refs).items() if isinstance(each, SecretError))

    def doubts(self, refs: Iterable[SecretRef]) -> tuple[Problem, ...]:
        """Warn of missing secrets and of weak ones."""
        found = self._look_up(refs).items()
        doubts = (each.problems if isinstance(each, SecretError) else doubts_about(each, ref) for ref, each in found)
        return tuple(problem for several in doubts for problem in several)

    def _look_up(self, refs: Iterable[SecretRef]) -> dict[SecretRef, Secret | SecretError]:
        """Look each up once in a run: what it is, or why it cannot be used."""
        wanted = dict.fromkeys(refs)
        with self._lock:
            for ref in wanted:
                if ref not in self._found:
                    try:
                        self._found[ref] = self._sources.find_shared(ref)
                    except SecretError as error:
                        self._found[ref] = error
            return {ref: self._found[ref] for ref in wanted}


def doubts_about(secret: Secret, ref: SecretRef) -> tuple[Problem, ...]:
    """Warn of a secret that is well known, follows a pattern, or is short: one warning, of the worst."""
    value = secret.reveal()
    if _WELL_KNOWN.fullmatch(_SEPARATORS.sub("", value.lower())):
        return (Problem(f"secret {ref} is a well-known value", FIX, ref.location),)
    if _is_pattern(value):
        return (Problem(f"secret {ref} is a simple pattern", FIX, ref.location),)
    if len(value.encode("utf-8", "surrogatepass")) < SHORTEST_STRONG:
        return (Problem(f"secret {ref} is shorter than {SHORTEST_STRONG} bytes", FIX, ref.location),)
    return ()


def _is_pattern(value: str) -> bool:
    """Whether it is one character again and again, or digits that count up or down."""
    if len(set(value)) == 1:
        return True
    if not (value.isascii() and value.isdigit()):
        return False
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(value)}
    return steps in ({1}, {9})


def generate_secret() -> str:
    """Make a secret that service and receiver can share: 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
