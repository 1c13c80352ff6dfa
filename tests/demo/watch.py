"""Watch: what the axis logs becomes lines for a person, as it happens."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console

from axis.edxml.values import VIETNAM

_LEVELS = {  # Receipt level: how it is shown.
    "delivered": ("✓", "green", "đã đến / delivered"),
    "registered": ("✓", "green", "đã vào sổ / registered"),
    "refused": ("✗", "yellow", "bị từ chối / refused"),
    "deferred": ("…", "cyan", "hoãn / deferred"),
    "expired": ("⌛", "yellow", "quá hạn / expired"),
    "failed": ("☠", "red", "thất bại / failed"),
    "recalled": ("↶", "yellow", "thu hồi / recalled"),
}


@dataclass(slots=True)
class Watch:
    """Listens to the axis's events; acts of the demonstration wait here for what they need."""

    console: Console
    codes: dict[str, str] = field(default_factory=dict)  # Number and notation by envelope.
    levels: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, text: str, style: str = "") -> None:
        """Write a line with the time of day in Viet Nam."""
        now = datetime.now(VIETNAM)
        self.console.print(f"{now:%H:%M:%S}  {text}", style=style, markup=False)

    def heard(self, event: dict[str, object]) -> None:
        """Take one event of the axis."""
        show = _SHOWN.get(str(event.get("event")))
        if show is not None:
            show(self, event)
        self._news.set()

    async def until(self, document_id: str, level: str) -> None:
        """Wait until some addressee of a document, or its axis, has said so."""
        async with asyncio.timeout(60):
            while not any(one == document_id and level in said for (one, _), said in self.levels.items()):
                self._news.clear()
                await self._news.wait()

    def accepted(self, event: dict[str, object]) -> None:
        document_id = str(event["document_id"])
        self.codes[str(event["envelope_id"])] = document_id
        self.levels[document_id, ""].add("accepted")
        self.say(
            f"＋ {_short(document_id)} đã nhận / accepted for {event['addressees']} ({event['via']},"
            f" {float(str(event['duration_s'])) * 1000:.0f} ms)",
            "bold",
        )

    def rejected(self, event: dict[str, object]) -> None:
        codes = event["codes"]
        listed = ", ".join(map(str, codes)) if isinstance(codes, list) else str(codes)
        self.say(f"✗ {event['submitter']}: bị trả lại / rejected: {listed}", "yellow")

    def repeated(self, event: dict[str, object]) -> None:
        self.say(f"＝ {_short(str(event['document_id']))} gửi lại, trả lời như cũ / sent again, answered as before")

    def changed(self, event: dict[str, object]) -> None:
        document_id = self.codes.get(str(event["envelope_id"]), "?")
        level, addressee = str(event["receipt"]), str(event["addressee"])
        self.levels[document_id, addressee].add(level)
        mark, style, words = _LEVELS.get(level, ("·", "", level))
        attempt = f", lần / attempt {event['attempt']}" if int(str(event["attempt"] or 0)) > 1 else ""
        self.say(f"  {mark} {_short(document_id)} → {addressee}: {words}{attempt}", style)


def _short(document_id: str) -> str:
    """Return originator and code of a document id."""
    parts = document_id.split(",")
    return f"{parts[0]} {parts[-1]}"


_SHOWN = {
    "envelope.accepted": Watch.accepted,
    "envelope.rejected": Watch.rejected,
    "envelope.repeated": Watch.repeated,
    "delivery.changed": Watch.changed,
}
