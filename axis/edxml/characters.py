"""Characters: text and attributes as canonical XML has them, for what is written without a tree.

What is signed is a canonical form; whoever writes one writes these.

Spec: Canonical XML 1.0 §1.1, §2.2; XML 1.0 §2.2.
"""

import re

from axis.errors import NOT_XML

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_IN_TEXT = re.compile("[&<>\r]")  # Nearly no text has any of them, and to look takes less than to translate.
_ATTRIBUTE = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        '"': "&quot;",
        "\t": "&#x9;",
        "\n": "&#xA;",
        "\r": "&#xD;",
    }
)


def in_text(text: str) -> str:
    """Return a text as it stands in an element."""
    return text if _IN_TEXT.search(text) is None else text.translate(_TEXT)


def in_attribute(value: str) -> str:
    """Return a value as it stands in an attribute, between quotation marks."""
    return value.translate(_ATTRIBUTE)


def is_writable(text: str) -> bool:
    """Whether XML has a way to write it; word processors leave vertical tabs in what is copied out of them."""
    return text.isprintable() or NOT_XML.search(text) is None  # What Python calls printable is, and is seen at once.
