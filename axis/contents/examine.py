"""Examination: a content is read and judged, and all that is wrong with it has its line.

Spec: docs/protocol/contents.md 2.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

from lxml import etree

from axis.contents.kinds import Kind, listed, row_of
from axis.contents.read import read_tree, tree_of
from axis.contents.rules import Carrier, check, check_manifest
from axis.contents.shapes import Content
from axis.edxml import AttachmentRef, Document
from axis.edxml.values import PREFIXES
from axis.errors import Refusal, Violation

MOST_VIOLATIONS = 200  # Listed, as many as the gate lists of an envelope.
_NSMAP = {prefix.removesuffix(":"): namespace for namespace, prefix in PREFIXES.items()}


def examine(xml: bytes, *, today: date, kind: Kind | None = None, carrier: Carrier | None = None) -> Content:
    """Read a content and hold it against every rule.

    Args:
        xml: Its file.
        today: The day in Viet Nam.
        kind: What the manifest says it is; None: it says so itself.
        carrier: The document that it travels with, if it does.

    Raises:
        Refusal: CON.*; every violation of the first stage that found any: the XML, its schema, the rules.
    """
    tree = tree_of(xml)
    content = read_tree(tree, kind)
    found = check(content, today=today, carrier=carrier)
    if found:
        raise Refusal(_with_lines(found[:MOST_VIOLATIONS], tree))
    return content


def violations_of(
    document: Document, fetch: Callable[[AttachmentRef], bytes | None], *, today: date
) -> tuple[Violation, ...]:
    """Return what is wrong with the contents of a document: with how it lists them, else with them.

    Args:
        document: That lists them.
        fetch: Returns a file, or None if it is not here.
        today: The day in Viet Nam.
    """
    found = [*check_manifest(document.attachments)]
    for ref in () if found else listed(document.attachments):
        row, xml = row_of(ref), fetch(ref)
        if row is not None and xml is not None:
            try:
                examine(xml, today=today, kind=row.kind, carrier=Carrier(document))
            except Refusal as refusal:
                found += refusal.violations
    return tuple(found)


def _with_lines(found: tuple[Violation, ...], tree: etree._Element) -> Iterator[Violation]:
    for one in found:
        places = tree.xpath(one.path, namespaces=_NSMAP)
        here = places[0] if isinstance(places, list) and places else tree
        line = here.sourceline if isinstance(here, etree._Element) else None
        yield replace(one, line=None if line is None else int(line))
