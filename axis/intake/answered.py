"""Answered: the tasks that a document names as answered are held against those that were given.

A task that its addressees, or whoever it answers, have given over this axis is
answered by those that it was given to. One that nobody has given here may have
been given elsewhere: its code is carried, and nobody judges it.

Spec: docs/protocol/contents.md 4.7; docs/protocol/intake.md 1.7; QCVN 102:2016 (ResponseForTask).
"""

from collections.abc import Iterator, Sequence

from axis.edxml import BusinessType, Document
from axis.errors import Violation, violation
from axis.intake.examine import Examined
from axis.ledger import GivenTask, Ledger
from axis.registry import Registry
from axis.routing import Link, LinkKind

_PATH = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader/edXML:ResponseForTask/edXML:TaskCode"


async def tasks_answered(examined: Examined, ledger: Ledger, roll: Registry) -> list[GivenTask]:
    """Return the tasks that a document answers, as far as they were given here.

    Args:
        examined: The envelope.
        ledger: Knows what was given.
        roll: The offices as known now.

    Raises:
        TransientError: The ledger cannot be asked now.
    """
    message, resolution = examined.verified.message, examined.resolution
    if not isinstance(message, Document) or not message.tasks or message.business_type is BusinessType.RECALL:
        return []
    originator = resolution.originator.code
    answered = filter(None, (roll.find(one.organ_id) for one in message.responses))
    givers = {
        originator,
        *(one.code for one in answered),
        *(one.office.code for one in resolution.routes if one.office is not None),
    }
    return await ledger.given_tasks(set(message.tasks), givers, roll.line_of(originator))


def not_assigned(examined: Examined, given: Sequence[GivenTask]) -> Iterator[Violation]:
    """Yield the tasks that were given here, and to others than who answers them."""
    message, originator = examined.verified.message, examined.resolution.originator.code
    if not isinstance(message, Document):
        return
    for number, code in enumerate(message.tasks, 1):
        known = [one for one in given if one.code == code]
        if known and not any(_has_part(one, originator) for one in known):
            path = f"{_PATH}[{number}]" if len(message.tasks) > 1 else _PATH
            detail = f"{originator}, {code}"
            yield violation("MSG.TASK", detail, path=path, rule="task:assigned")


def links_to(examined: Examined, given: Sequence[GivenTask]) -> tuple[Link, ...]:
    """Return what the document is to those that gave the tasks."""
    originator = examined.resolution.originator.code
    return tuple(Link(LinkKind.TASK, one.given_by, one.document_id, "") for one in given if _has_part(one, originator))


def _has_part(task: GivenTask, originator: str) -> bool:
    return task.is_assigned or task.given_by == originator
