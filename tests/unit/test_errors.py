"""What an error says of itself, to whoever runs the program."""

import pytest

from axis.errors import AxisError, PermanentError, TransientError, refuse
from axis.intake.accept import Rejected


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TransientError("SYS.BROKER"), "SYS.BROKER: The broker cannot be reached just now."),
        (TransientError("SYS.BROKER", "ctl: no"), "SYS.BROKER: The broker cannot be reached just now. (ctl: no)"),
        (PermanentError("CFG.INVALID", "a: b"), "CFG.INVALID: The configuration is wrong: a: b"),
        (refuse("SIG.DIGEST", "#header"), "SIG.DIGEST: The content was changed after it was sealed: #header"),
        (refuse("SIG.MISSING"), "SIG.MISSING: The envelope carries no seal."),
        (Rejected(refuse("SIG.MISSING"), b""), "SIG.MISSING: The envelope carries no seal."),
        (
            Rejected(refuse("SIG.DIGEST", "#header"), b""),
            "SIG.DIGEST: The content was changed after it was sealed: #header",
        ),
    ],
)
def test_its_text_says_once_what_is_wrong(error: AxisError, text: str) -> None:
    assert str(error) == text
