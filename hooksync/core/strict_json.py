"""JSON that others wrote, read so that no other reader can understand it in another way. Pure.

What a signature covers and what a person is shown must be the same: duplicate keys, of which each reader takes another
one, and numbers that JSON does not have are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import NoReturn

from hooksync.core.errors import InvalidDocument
from hooksync.core.schema import quoted

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # maybe half of a pair


def parse_json(text: str) -> object:
    """Parse a text. Raises JSONDecodeError where it is not JSON, and InvalidDocument where it is not strictly JSON."""
    try:
        parsed: object = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_number)
        if _SURROGATE.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise InvalidDocument("nested too deeply") from None
    except UnicodeEncodeError:
        raise InvalidDocument("holds half of a character: a surrogate without its other half") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python reads no number of thousands of digits
        raise InvalidDocument("holds a number too long to be read") from None
    return parsed


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(name, _), *_] = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidDocument(f"{quoted(name)} is a duplicate key in one object")
    return fields


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise InvalidDocument("holds a number that JSON does not have: NaN, or one without an end")
