"""The receiver of the sandbox refuses secrets that cannot sign. Most other tests use it as it is."""

from __future__ import annotations

import pytest

from hooksync.sandbox.faults import SandboxError
from tests.boxes import Receiver


@pytest.mark.parametrize("secrets", [[], [""], ["\u20ac"]])
def test_secret_that_cannot_sign_is_refused_without_being_shown(secrets: list[str]) -> None:
    with pytest.raises(SandboxError, match="receiver") as caught:
        Receiver({"x": secrets})
    assert "\u20ac" not in str(caught.value)
