"""Reading: the bytes of a content become a frozen value, or a list of what is wrong with them.

The caps are those of an envelope. What comes out has passed its schema; `rules`
judge what a schema cannot.

Spec: docs/protocol/contents.md 2; schemas/dossier-1.xsd, task-1.xsd, invitation-1.xsd.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from axis.contents.kinds import KINDS, MAX_CONTENT_BYTES, Kind
from axis.contents.shapes import BY_TAG, ROOTS, Content, Field, Root, Shape
from axis.edxml.gate import schema_violations
from axis.edxml.parse import load
from axis.edxml.values import collapse
from axis.errors import Refusal, Violation, refuse, violation


def read(xml: bytes) -> Content:
    """Read one content.

    Raises:
        Refusal: CON.XML, CON.KIND or CON.SCHEMA; of the latter, every violation with line and path.
    """
    return read_tree(tree_of(xml))


def tree_of(xml: bytes) -> etree._Element:
    """Parse the file of a content, under caps.

    Raises:
        Refusal: CON.XML
    """
    try:
        return load(xml, MAX_CONTENT_BYTES)
    except Refusal as refusal:
        raise Refusal(_within(found, "CON.XML") for found in refusal.violations) from refusal


def read_tree(tree: etree._Element, kind: Kind | None = None) -> Content:
    """Read a content that was parsed.

    Args:
        tree: The root of its file.
        kind: What it was said to be; None: it says so itself.

    Raises:
        Refusal: CON.KIND, CON.SCHEMA
    """
    root = BY_TAG.get(str(tree.tag))
    if root is None or kind not in (None, root.kind):
        wanted = ", ".join(one.element for one in ROOTS if kind in (None, one.kind))
        raise refuse("CON.KIND", f"{str(tree.tag)[:120]} ≠ {wanted}", line=1, rule="rule:content.root")
    found = schema_violations(tree, KINDS[root.kind].schema)
    if found:
        raise Refusal(_within(one, "CON.SCHEMA") for one in _once_a_place(found))
    return _content(tree, root)


def _content(tree: etree._Element, root: Root) -> Content:
    content: Content = _value(tree, root.shape, KINDS[root.kind].namespace)
    return content


def _value(element: etree._Element, shape: Shape, namespace: str) -> Any:
    found = {field.name: _of(element, field, namespace) for field in shape.fields}
    return shape.type(**{name: value for name, value in found.items() if value is not None})


def _of(element: etree._Element, field: Field, namespace: str) -> Any:
    """Return what a field holds; None if nothing is said."""
    said = [_one(one, field, namespace) for one in element.iterchildren(f"{{{namespace}}}{field.element}")]
    if field.many:
        return tuple(said)
    return said[0] if said else None


def _one(element: etree._Element, field: Field, namespace: str) -> Any:
    if isinstance(field.form, Shape):
        return _value(element, field.form, namespace)
    return field.form.read(collapse(element.text))


def _once_a_place(found: Sequence[Violation]) -> Iterator[Violation]:
    """Yield findings without those that say of a place that it is wrong, where another says what."""
    told = {one.path for one in found if one.rule != "xsd:invalid"}
    return (one for one in found if one.rule != "xsd:invalid" or one.path not in told)


def _within(found: Violation, code: str) -> Violation:
    """Say of a content what the reader of envelopes has found."""
    return violation(code, found.en, detail_vi=found.vi, line=found.line, path=found.path, rule=found.rule)
