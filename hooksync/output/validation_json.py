"""What `validate` found, as JSON text: `hooksync.validation/1`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hooksync.core.errors import Problem
from hooksync.core.model import Location
from hooksync.output.json_text import to_text

FORMAT = "hooksync.validation/1"


def validation_json(
    tenancies: int, subscriptions: int, problems: Sequence[Problem], warnings: Sequence[Problem]
) -> str:
    """Write counts, problems and warnings as JSON."""
    document = {
        "format": FORMAT,
        "is_valid": not problems,
        "problems": list(map(_problem_json, problems)),
        "subscriptions": subscriptions,
        "tenancies": tenancies,
        "warnings": list(map(_problem_json, warnings)),
    }
    return to_text(document)


def _problem_json(problem: Problem) -> dict[str, object]:
    where = dict(zip(Location._fields, problem.where or (None,) * 3, strict=True))
    return {**where, "what": problem.what, "fix": problem.fix}
