"""READING (room 1): bytes become a message, or a list of what is wrong with them.

The way through: `split` cuts inline attachments out of what an office sends,
`parse` reads the sealed envelope under caps, (the seal is verified by room 2,)
`gate` holds it against the schema, `read` turns the signed bytes into a frozen
message, `rules` judges what a schema cannot. `form` does the work of `parse`, `gate` and
`read` for a document that stands as `render` writes it. `faults` lists all that is wrong
with one that may not pass. `render` and `inline` go the other way, `lint` runs it
all for a person at a desk. Nothing here does I/O or reads a clock.

Spec: QCVN 102:2016/BTTTT; schemas/README.md.
"""

from axis.edxml.faults import faults, misshapes, with_lines
from axis.edxml.gate import gate
from axis.edxml.model import (
    AttachmentRef,
    Business,
    BusinessType,
    Document,
    Kind,
    Message,
    Notary,
    Organization,
    Priority,
    Replacement,
    ResponseFor,
    Staff,
    Status,
)
from axis.edxml.parse import PARTS, Received, parse
from axis.edxml.read import read, read_manifest, read_traces, read_trees
from axis.edxml.render import Written, render, write
from axis.edxml.rules import check, path_to_entry, path_to_id
from axis.edxml.schemas import compile_explainers
from axis.edxml.split import Inline, Split, Splitter
from axis.edxml.values import q

__all__ = [
    "PARTS",
    "AttachmentRef",
    "Business",
    "BusinessType",
    "Document",
    "Inline",
    "Kind",
    "Message",
    "Notary",
    "Organization",
    "Priority",
    "Received",
    "Replacement",
    "ResponseFor",
    "Split",
    "Splitter",
    "Staff",
    "Status",
    "Written",
    "check",
    "compile_explainers",
    "faults",
    "gate",
    "misshapes",
    "parse",
    "path_to_entry",
    "path_to_id",
    "q",
    "read",
    "read_manifest",
    "read_traces",
    "read_trees",
    "render",
    "with_lines",
    "write",
]
