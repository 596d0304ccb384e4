"""The key that signs plans and states, and a strict JSON parser. No I/O.

Nobody can make a validly signed plan or state without the key. The parser is strict so that every
other JSON reader sees the signed content. Of duplicate keys, readers may use the first or the last;
numbers such as NaN are not JSON. Both are refused.
"""

from __future__ import annotations

import hmac
import json
import re
from typing import Any, NoReturn

from hooksync.core.errors import InvalidDocument, Problem, UsageError
from hooksync.core.model import KEY_VARIABLE, Variables
from hooksync.core.record import Record
from hooksync.core.schema import quoted

SHORTEST_KEY = 16  # bytes

# lists and objects in one text; an empty one takes up to 64 times as many bytes as in the text
_MOST_BRACKETS = 2_000_000
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that may be half of a pair


class PlanKey(Record):
    """The key that plans and states are signed with."""

    value: bytes

    def sign(self, domain: bytes, text: bytes) -> str:
        """Sign a text.

        `domain`: the kind of the text, so that the signature is not valid for any other kind.
        """
        signed = hmac.new(self.value, domain, "sha256")
        signed.update(text)  # a plan may have megabytes, so it is not joined
        return f"hmac-sha256:{signed.hexdigest()}"


def plan_key(environ: Variables) -> PlanKey | None:
    """Return the key from its variable; None: the variable is not set.

    Raises UsageError if the key is too short; an empty variable is too short as well.
    """
    if KEY_VARIABLE not in environ:
        return None
    value = environ[KEY_VARIABLE].encode("utf-8", "surrogateescape")
    if len(value) < SHORTEST_KEY:
        raise UsageError(
            f"{KEY_VARIABLE} is shorter than {SHORTEST_KEY} bytes",
            "make one with `hooksync secret generate`; unset the variable to work without"
            " signatures",
        )
    return PlanKey(value)


def is_same(given: object, computed: str) -> bool:
    """Whether `given`, a digest or signature from a document, equals the computed one."""
    return isinstance(given, str) and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), computed.encode()
    )


def signature_problem(name: str, given: object, computed: str | None, fix: str) -> Problem | None:
    """Return what is wrong with the signature of a document; None: nothing is.

    `computed`: the signature that it should have; None: the run has no key.
    """
    if computed is None:
        unset = Problem(
            f"{name} is signed, and {KEY_VARIABLE} is not set",
            f"set {KEY_VARIABLE} to the key that it was signed with",
        )
        return unset if given else None
    if not given:
        return Problem(f"{name} is not signed, and {KEY_VARIABLE} is set", fix)
    if is_same(given, computed):
        return None
    why = "somebody changed it, or it was signed with a different key"
    return Problem(f"the signature of {name} does not fit {KEY_VARIABLE}: {why}", fix)


def parse_document(text: str, form: str) -> dict[str, Any]:
    """Parse a JSON document with the format `form`. Raises InvalidDocument."""
    document = parse_json(text)
    found = document.get("format") if isinstance(document, dict) else None
    if found != form:
        raise InvalidDocument(f"its format is {quoted(found)}, and this hooksync reads {form}")
    return dict(document)


def parse_json(text: str) -> Any:
    """Parse a JSON text.

    Raises InvalidDocument for what is not JSON, duplicate keys, NaN, overlong numbers and half
    surrogate pairs, and for too many or too deep lists and objects.
    """
    if text.count("{") + text.count("[") > _MOST_BRACKETS:
        raise InvalidDocument(f"contains more than {_MOST_BRACKETS:,} lists and objects")
    try:
        parsed = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        if _SURROGATE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise InvalidDocument("nested too deeply") from None
    except json.JSONDecodeError as error:  # its text may quote the document
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidDocument(f"not JSON at {place}") from None
    except ValueError:  # Python refuses integers with more than some thousand digits
        raise InvalidDocument(
            "contains a number that is too long to read, or half of a surrogate pair"
        ) from None
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object. Raises InvalidDocument for a duplicate key."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidDocument("contains a duplicate key in one object")
    return fields


def _refuse(text: str) -> NoReturn:
    """Raise InvalidDocument for a number that JSON does not have."""
    raise InvalidDocument("contains a number that JSON does not have: NaN or Infinity")
