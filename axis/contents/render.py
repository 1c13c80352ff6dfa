"""Rendering: a content becomes XML, in the order of its schema.

Spec: schemas/dossier-1.xsd, task-1.xsd, invitation-1.xsd.
"""

from typing import Any

from lxml import etree

from axis.contents.kinds import KINDS
from axis.contents.shapes import Content, Field, Shape, root_of
from axis.errors import refuse


def render(content: Content) -> bytes:
    """Return a content as XML, UTF-8.

    Raises:
        Refusal: CON.XML; a text holds a character that XML has no way to write.
    """
    root = root_of(content)
    namespace = KINDS[root.kind].namespace
    tree = etree.Element(f"{{{namespace}}}{root.element}", nsmap={None: namespace})
    _fill(tree, content, root.shape, namespace)
    etree.indent(tree)
    return etree.tostring(tree, xml_declaration=True, encoding="UTF-8")


def _fill(element: etree._Element, value: Any, shape: Shape, namespace: str) -> None:
    for field in shape.fields:
        said = getattr(value, field.name)
        for one in said if field.many else (said,):
            if one is not None and one != "":
                _write(etree.SubElement(element, f"{{{namespace}}}{field.element}"), one, field, namespace)


def _write(element: etree._Element, value: Any, field: Field, namespace: str) -> None:
    if isinstance(field.form, Shape):
        _fill(element, value, field.form, namespace)
        return
    try:
        element.text = field.form.write(value)
    except ValueError as error:  # Word processors leave vertical tabs in what is copied out of them.
        raise refuse(
            "CON.XML",
            f"{field.element} holds a control character",
            detail_vi=f"{field.element} có ký tự điều khiển",
            rule="xml:char",
        ) from error
