"""Each vector gets the answer that it must get, here and from `xmllint`."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import process_time

import pytest

from axis import edxml
from axis.edxml import limits, schemas
from axis.errors import CATALOGUE, Refusal
from tests.conformance.edxml.vectors import BYTES, SHAPES, Octets, Shape
from tests.province import DOCUMENT

SHAPE_IDS = [f"{number:03}-{vector.schema}-{vector.what}" for number, vector in enumerate(SHAPES)]
BYTES_IDS = [f"{vector.id}-{vector.what}" for vector in BYTES]
COMMUNES = 3_321  # Of all provinces, since 1 July 2025.
BUDGET_S = 1.0  # A refusal takes some milliseconds; what this catches takes minutes.


def _found(xml: bytes) -> tuple[tuple[str, str], ...]:
    try:
        edxml.gate(edxml.parse(xml))
    except Refusal as refusal:
        return tuple((found.rule, found.path.rpartition("/")[2]) for found in refusal.violations)
    return ()


@pytest.mark.parametrize("vector", SHAPES, ids=SHAPE_IDS)
def test_gate_finds_exactly_what_is_wrong(vector: Shape) -> None:
    assert _found(vector.xml) == vector.expected


@pytest.mark.parametrize("vector", [one for one in SHAPES if not one.expected], ids=lambda vector: vector.what)
def test_message_that_fits_can_be_read(vector: Shape) -> None:
    received = edxml.parse(vector.xml)
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    message = edxml.read_trees(received.kind, parts)
    assert message.originator.organ_id == received.originator


@pytest.mark.parametrize("vector", [one for one in SHAPES if one.expected], ids=lambda vector: vector.what)
def test_violation_has_line_path_and_words_in_both_languages(vector: Shape) -> None:
    with pytest.raises(Refusal) as caught:
        edxml.gate(edxml.parse(vector.xml))
    lines = vector.xml.count(b"\n") + 1
    for found in caught.value.violations:
        assert found.line is not None
        assert 1 <= found.line <= lines
        assert found.path.startswith("/")
        assert found.code == ("ENV.SCHEMA" if found.rule.startswith("xsd:") else "RULE.DATE")
        assert found.vi.startswith(CATALOGUE[found.code].vi.split("{")[0])
        assert found.vi != CATALOGUE[found.code].vi.format(detail="")
        assert "{http" not in found.vi + found.en


@pytest.mark.parametrize("vector", BYTES, ids=BYTES_IDS)
def test_bytes_that_are_no_message_get_their_code_at_once(vector: Octets) -> None:
    started = process_time()
    with pytest.raises(Refusal) as caught:
        edxml.parse(vector.content)
    assert caught.value.code == vector.code
    assert len(caught.value.violations) == 1
    assert process_time() - started < BUDGET_S


def test_circular_to_every_commune_of_the_country_fits_one_envelope() -> None:
    addressee = re.search(r" *<edXML:To>.*</edXML:To>\n", DOCUMENT)
    assert addressee is not None
    named = "".join(addressee[0].replace("H56.112", f"H{number // 100:02}.{number}") for number in range(COMMUNES))
    xml = DOCUMENT.replace(addressee[0], named).encode()
    assert len(xml) < limits.MAX_ENVELOPE_BYTES
    assert _found(xml) == ()


def test_xmllint_agrees_with_the_gate_on_every_message(tmp_path: Path) -> None:
    judged: dict[int, bool] = {}
    for schema in ("document-1", "status-1"):
        of_schema = {n: one for n, one in enumerate(SHAPES) if one.schema == schema}
        judged |= _xmllint({n: one.xml for n, one in of_schema.items()}, schema, tmp_path)
    differ = [SHAPE_IDS[n] for n, one in enumerate(SHAPES) if judged[n] != one.fits_the_schema]
    assert differ == []


def test_xmllint_accepts_no_message_without_inline_files_that_the_axis_calls_misshapen(tmp_path: Path) -> None:
    """What the parser refuses, xmllint may let through: it is laxer, never the other way round.

    It is not asked about what is refused for its size: some of those keep it busy for a minute.
    """
    asked = {n: one.content for n, one in enumerate(BYTES) if one.code != "ENV.TOO_COMPLEX"}
    judged = _xmllint(asked, "document-1", tmp_path)
    valid = {BYTES[n].code for n, fits in judged.items() if fits}
    assert valid <= {"ENV.DTD", "ENV.ENCODING", "ENV.COMMENT_OR_PI", "ENV.TOO_LARGE", "ENV.NOT_WELL_FORMED"}


def _xmllint(files: dict[int, bytes], schema: str, folder: Path) -> dict[int, bool]:
    """Ask xmllint about many files in one call, as schemas/README.md tells a person to ask it about one."""
    paths = {number: folder / f"{schema}-{number}.xml" for number in files}
    for number, content in files.items():
        paths[number].write_bytes(content)
    answer = _run(["xmllint", "--nonet", "--noout", "--schema", str(schemas.path(schema)), *map(str, paths.values())])
    return {number: f"{path} validates" in answer for number, path in paths.items()}


def _run(command: Iterable[str]) -> set[str]:
    done = subprocess.run(list(command), capture_output=True, timeout=60, check=False)
    return set(done.stderr.decode("utf-8", "replace").splitlines())


def test_vectors_are_many_and_each_is_its_own() -> None:
    assert len(SHAPES) >= 80
    assert len({vector.xml for vector in SHAPES}) == len(SHAPES)
    assert len({vector.content for vector in BYTES}) == len(BYTES)


def test_each_schema_has_messages_that_fit_and_messages_that_do_not() -> None:
    assert {(vector.schema, vector.fits_the_schema) for vector in SHAPES} == {
        (schema, fits) for schema in ("document-1", "status-1") for fits in (True, False)
    }
