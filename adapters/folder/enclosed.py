"""Enclosed: what a document carries beside its files, for a person to read and for a calendar to take."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from adapters.letters import VIETNAM, now
from axis import (
    Content,
    Document,
    Dossier,
    DossierProgress,
    Invitation,
    Refusal,
    Task,
    TaskCompletion,
    TaskProgress,
    ics_of,
    read_content,
)


async def contents_of(doc: Document) -> tuple[Content, ...]:
    """Return what a document carries; one that cannot be read is among its files, and is for a person to judge."""
    try:
        return await doc.contents()
    except Refusal:
        return ()


def event_of(contents: tuple[Content, ...]) -> Iterator[bytes]:
    """Yield the .ics of an invitation, if there is one."""
    return (ics_of(content, at=now()) for content in contents if isinstance(content, Invitation))


def cancelled(folder: Path) -> Iterator[bytes]:
    """Yield the .ics that takes out of a calendar what a document's folder has put there, if it has."""
    try:
        content = read_content((folder / "giay-moi.xml").read_bytes())
    except (FileNotFoundError, Refusal):
        return
    if isinstance(content, Invitation):
        yield ics_of(content, at=now(), cancelled=True)


def told_of(content: Content) -> Iterator[str]:
    """Yield what a clerk is told of a content."""
    match content:
        case Invitation():
            end = f" đến {_moment(content.ends_at)}" if content.ends_at else ""
            yield f"Mời: {content.title}"
            yield f"Thời gian: {_moment(content.starts_at)}{end}"
            yield from (f"Địa điểm: {place}" for place in (content.place, content.link) if place)
        case Dossier() | DossierProgress():
            yield f"Hồ sơ {content.code}: {content.status.label}"
            yield from (f"Hẹn trả: {_moment(at)}" for at in (content.due_at,) if at and isinstance(content, Dossier))
        case Task():
            yield f"Nhiệm vụ {content.code}: {content.what}"
            yield from (f"Hạn xử lý: {day:%d/%m/%Y}" for day in (content.due_on,) if day)
        case TaskProgress():
            done = "" if content.percent is None else f", {content.percent}%"
            yield f"Nhiệm vụ {content.code}, {content.assignee}: {content.status.label}{done}"
        case TaskCompletion():
            yield f"Nhiệm vụ {content.code}, {content.assignee}: {content.result}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(VIETNAM):%H:%M ngày %d/%m/%Y}"
