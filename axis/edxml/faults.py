"""Faults: everything that is wrong with the shape and the content of one message.

The gate and the rules say whether a message may pass, as fast as that can be
said. To a message that may not, there is time: what the rules find is given its
line, and beside a wrong shape all is listed that can be told of the content. One
function does that for `lint`, for the answer over HTTP and for the signed
rejection, so that they say the same.

Spec: docs/protocol/errors.md.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date

from lxml import etree

from axis.edxml.gate import gate
from axis.edxml.model import Message
from axis.edxml.parse import PARTS, Received
from axis.edxml.read import read_trees
from axis.edxml.rules import check
from axis.edxml.values import NSMAP
from axis.errors import Refusal, Violation

MOST = 200  # Violations that are listed of one message.


def misshapes(received: Received) -> tuple[Violation, ...]:
    """Return what the gate finds wrong: nothing, for a message that may pass; one in the usual form has passed."""
    if received.formed is not None:
        return ()
    try:
        gate(received)
    except Refusal as refusal:
        return refusal.violations
    return ()


def faults(
    received: Received,
    shape: tuple[Violation, ...],
    *,
    today: date,
    also: Callable[[Message], Iterable[Violation]] = lambda _message: (),
) -> tuple[Violation, ...]:
    """Return everything that is wrong, each with its line where it has a place.

    Args:
        received: Well-formed, of whatever shape.
        shape: As `misshapes` returned it.
        today: The day in Viet Nam.
        also: What else is wrong with its content, if that can be read.
    """
    content = _content(received, today, also)
    return (*shape, *(_beside(shape, content, received) if shape else content))[:MOST]


def _content(received: Received, today: date, also: Callable[[Message], Iterable[Violation]]) -> tuple[Violation, ...]:
    """Return what is wrong with the content, if the message can be read: behind the gate it can."""
    try:
        message = read_trees(received.kind, parts_of(received))
    except Refusal as refusal:
        return refusal.violations
    return with_lines((*check(message, today=today), *also(message))[:MOST], received)


def with_lines(found: Iterable[Violation], received: Received) -> tuple[Violation, ...]:
    """Add the line to violations that know only their path."""
    return tuple(_with_line(one, received) for one in found)


def parts_of(received: Received) -> dict[str, etree._Element]:
    """Return the parts to read; one that is missing says nothing, and the schema says that it is missing."""
    parts = {name: received.part(name) for name in PARTS[received.kind]}
    return {name: etree.Element(name) if part is None else part for name, part in parts.items()}


def _beside(shape: tuple[Violation, ...], content: tuple[Violation, ...], received: Received) -> Iterator[Violation]:
    """Yield what is wrong besides the shape: of what the schema complains about or misses, the rules say nothing new."""
    places = {found.path for found in shape}
    for found in content:
        parent = found.path.rpartition("/")[0]
        if found.line is not None and _places(found.path, received) and not places & {found.path, parent}:
            yield found


def _with_line(found: Violation, received: Received) -> Violation:
    if found.line is not None or not found.path:
        return found
    places = _places(found.path, received)
    for element in places or _places(found.path.rpartition("/")[0], received):
        if element.sourceline is not None:
            return replace(found, line=int(element.sourceline))
    return found


def _places(path: str, received: Received) -> list[etree._Element]:
    found = received.root.xpath(path or "/*", namespaces=NSMAP)
    return [one for one in found if isinstance(one, etree._Element)] if isinstance(found, list) else []
