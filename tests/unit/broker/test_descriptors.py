"""A node that could not serve its offices is not started: it would hang without a word."""

import resource

import pytest

from axis.broker import require_descriptors
from axis.errors import PermanentError


@pytest.mark.parametrize(("offices", "given"), [(200, 600), (3_321, 20_000), (21_845, 65_536), (50_000, -1)])
def test_enough_is_enough(offices: int, given: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (given, given))
    require_descriptors(offices)


def test_too_few_are_said_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (20_000, 20_000))
    with pytest.raises(PermanentError, match="7000 offices needs 21000 file descriptors, and may have 20000") as caught:
        require_descriptors(7_000)
    assert caught.value.code == "CFG.INVALID"
