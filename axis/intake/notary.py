"""Notary: what an older system wrote is sealed by the axis, and never passes for the word of its originator.

The profile demands a seal, and an older system has none. The axis seals what it
has normalised with its own key, and says under that seal whose seal it is and
the digest of the bytes that came. Nothing else that differs from one time to
the next stands under it, so that the same bytes have the same content again.

Spec: docs/protocol/dialects.md 5.
"""

from dataclasses import dataclass
from datetime import datetime

from axis import edxml, seal
from axis.edxml import Message, Notary
from axis.edxml.dialects import Tolerated
from axis.errors import Refusal
from axis.receipts.voice import Voice

_REASON_VI = "Theo mẫu cũ, chưa xác thực nơi gửi."
_REASON_EN = "From an older system, originator not verified."


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes that came, and what was tolerated in them."""

    sha256: str
    tolerated: tuple[Tolerated, ...] = ()

    @property
    def reason(self) -> str:
        """What the acceptance says of it."""
        quirks = ", ".join(dict.fromkeys(one.quirk.value for one in self.tolerated))
        return f"{_REASON_VI} / {_REASON_EN} [{quirks}]" if quirks else f"{_REASON_VI} / {_REASON_EN}"


def notarise(message: Message, original: str, voice: Voice, *, at: datetime) -> bytes:
    """Seal a normalised message in the place of its originator.

    Args:
        message: With the digests of its files.
        original: SHA-256 of the bytes that came.
        voice: Of the axis.
        at: Now; it does not come under the seal.

    Raises:
        Refusal: ENV.*; it cannot be written in the one form.
        TransientError: SYS.KEY; nobody would believe the seal.
    """
    voice.key.require(at)
    return seal.seal_message(message, voice.key, Notary(voice.organ_id, original)).octets


def says_the_same(one: bytes, other: bytes) -> bool:
    """Tell whether two notarised envelopes hold one message: an older system writes it anew each time that it sends it."""
    messages = []
    for sealed in (one, other):
        received = edxml.parse(sealed)
        if received.notary is None:
            return False
        parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
        try:
            messages.append(edxml.read_trees(received.kind, parts))
        except (Refusal, KeyError):
            return False
    return messages[0] == messages[1]
