"""Answers: what an office's system says, as the state and a receipt can carry it."""

from collections.abc import Callable

import pytest

from axis.office import answers
from axis.office.answers import Agreed, Declined, Progress, Refused, Registered, Said


@pytest.mark.parametrize(
    "answer",
    [
        Registered("4\ud83d", "số\ud83d"),
        Refused("vì\ud83d\x00"),
        Progress("06", "xong\ud83d"),
        Agreed("đồng ý\ud83d", "4\ud83d"),
        Declined("vì\ud83d"),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_half_a_character_is_no_obstacle(answer: Said) -> None:
    text = answers.dump(answer)
    assert "\ufffd" in text.encode().decode()
    assert answers.load(text) == answer


@pytest.mark.parametrize("say", [Registered, Refused, Declined])
def test_null_of_a_register_is_nothing_said(say: Callable[[str | None], Said]) -> None:
    with pytest.raises(ValueError, match=r"number|reason"):
        say(None)
