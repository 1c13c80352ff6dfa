"""Schemas: the XSDs of `schemas/`, read once from the package.

libxml2 decides on the hot path; `xmlschema` explains what it refused and never
overrules it.

libxml2 fills its table of built-in types when it compiles the first schema, and
does not guard it: two threads that compile the first schemas of a process at
once may leave every later answer wrong, until the process ends. So they are
compiled here, while the module is imported, which one thread does.
"""

from functools import cache
from pathlib import Path

import xmlschema
from lxml import etree

_FOLDERS = (Path(__file__).parents[1] / "_schemas", Path(__file__).parents[2] / "schemas")  # Wheel, checkout.


@cache
def path(name: str) -> Path:
    """Return the file of a schema, e.g. `document-1`."""
    for folder in _FOLDERS:
        file = folder / f"{name}.xsd"
        if file.exists():
            return file
    raise AssertionError(f"schema {name} is part of the package")


def gatekeeper(name: str) -> etree.XMLSchema:
    """Return libxml2's compiled schema. Threads share it: its answer is the caller's, its error log is anybody's."""
    return _GATEKEEPERS[name]


def fresh_gatekeeper(name: str) -> etree.XMLSchema:
    """Return libxml2's schema, compiled for one caller, who may read its error log."""
    return etree.XMLSchema(etree.parse(str(path(name))))


_NAMES = ("document-1", "status-1", "receipt-1", "dossier-1", "task-1", "invitation-1")
_GATEKEEPERS = {name: fresh_gatekeeper(name) for name in _NAMES}


@cache
def explainer(name: str) -> xmlschema.XMLSchema10:
    """Return xmlschema's compiled schema."""
    return xmlschema.XMLSchema10(str(path(name)), allow="local", defuse="never")


def compile_explainers() -> None:
    """Compile what explains the refusal of a message: it takes a tenth of a second, in which nobody may be waiting."""
    for name in _NAMES:
        explainer(name)
