"""A content is read under caps, against its schema, and what is wrong has its line."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from axis import contents
from axis.contents import KINDS, Content, Guest, Kind, examine, read, render, row_in
from axis.contents.shapes import ROOTS
from axis.edxml import schemas
from axis.edxml.values import PREFIXES
from axis.errors import Refusal
from tests.contents import (
    DOER,
    DOSSIER,
    GIVER,
    INVITATION,
    SAMPLES,
    TASK,
    TASK_COMPLETION,
    TASK_PROGRESS,
    TODAY,
    carrier,
)

_EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.mark.parametrize("name", SAMPLES)
def test_examples_are_the_samples_and_in_order(name: str) -> None:
    said = SAMPLES[name]
    originator = DOER if said in (TASK_PROGRESS, TASK_COMPLETION) else GIVER
    xml = (_EXAMPLES / name).read_bytes()
    assert examine(xml, today=TODAY, carrier=carrier(originator)) == said
    assert xml == render(said)


def test_every_example_is_one_of_the_samples() -> None:
    assert {file.name for file in _EXAMPLES.glob("*.xml")} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_xmllint_takes_what_we_take(name: str) -> None:
    schema = schemas.path(KINDS[contents.root_of(SAMPLES[name]).kind].schema)
    command = ["xmllint", "--nonet", "--noout", "--schema", str(schema), str(_EXAMPLES / name)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.element)
def test_a_shape_names_the_elements_of_its_schema(root: contents.shapes.Root) -> None:
    """A field that the schema has and the shape has not would be lost in silence."""
    tree = etree.parse(str(schemas.path(KINDS[root.kind].schema)))
    ns = {"xs": "http://www.w3.org/2001/XMLSchema"}
    declared = tree.xpath(
        f"xs:element[@name='{root.element}']/xs:complexType/xs:sequence/xs:element/@name", namespaces=ns
    )
    assert [field.element for field in root.shape.fields] == declared


def _refused(xml: bytes, **more: object) -> list[tuple[str, int | None, str]]:
    with pytest.raises(Refusal) as caught:
        examine(xml, today=TODAY, **more)  # type: ignore[arg-type]
    return [(one.code, one.line, one.path) for one in caught.value.violations]


def test_every_fault_of_the_shape_is_listed_with_line_and_path() -> None:
    xml = render(INVITATION).replace(b"<LanSua>0<", b"<LanSua>x<").replace(b"  <TieuDe>", b"  <TieuDe2>", 1)
    xml = xml.replace(b"</TieuDe>", b"</TieuDe2>")
    assert _refused(xml) == [
        ("CON.SCHEMA", 4, "/inv:GiayMoi/inv:LanSua"),
        ("CON.SCHEMA", 6, "/inv:GiayMoi/inv:TieuDe2"),
    ]


def test_faults_of_the_rules_have_their_line() -> None:
    xml = render(DOSSIER).replace(b"H56.05-20260810", b"H56.05-20260830")
    assert _refused(xml) == [("CON.CODE", 4, "/dos:DongBoHoSoMC/dos:MaHoSo")]


def test_so_many_faults_are_listed_as_of_an_envelope() -> None:
    crowd = replace(INVITATION, guests=(Guest(position="Khách"),) * 300)
    assert len(_refused(render(crowd))) == contents.MOST_VIOLATIONS


def test_a_day_that_does_not_exist_is_a_fault_of_the_shape() -> None:
    xml = render(TASK).replace(b"2026-09-05", b"2026-02-30")
    assert [code for code, _, _ in _refused(xml)] == ["CON.SCHEMA"]


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"<GiayMoi", "CON.XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><GiayMoi xmlns="urn:axis:invitation:1">&a;</GiayMoi>', "CON.XML"),
        (b'<GiayMoi xmlns="urn:axis:invitation:1"><!-- --></GiayMoi>', "CON.XML"),
        (b" " * (contents.MAX_CONTENT_BYTES + 1), "CON.XML"),
        ("<GiayMoi/>".encode("utf-16"), "CON.XML"),
        (b'<GiayMoi xmlns="urn:axis:invitation:2"/>', "CON.KIND"),
        (b'<HoSo xmlns="urn:axis:dossier:1"/>', "CON.KIND"),
    ],
)
def test_what_is_no_content_is_refused_before_its_schema_is_asked(xml: bytes, code: str) -> None:
    assert [found for found, _, _ in _refused(xml)] == [code]


def test_a_content_is_of_the_kind_that_the_manifest_says() -> None:
    assert _refused(render(DOSSIER), kind=Kind.INVITATION)[0][0] == "CON.KIND"
    assert examine(render(DOSSIER), today=TODAY, kind=Kind.DOSSIER) == DOSSIER


@pytest.mark.parametrize(
    ("xml", "kind"),
    [
        (render(DOSSIER), Kind.DOSSIER),
        (render(TASK), Kind.TASK),
        (render(INVITATION), Kind.INVITATION),
        (b'<?xml version="1.0"?>\n<a:GiayMoi xmlns:a="urn:axis:invitation:1"><broken', Kind.INVITATION),
        (b"<edXML/>", None),
        (b"PK\x03\x04", None),
        (b"", None),
        (b"<a", None),
    ],
)
def test_a_file_says_of_which_kind_it_is(xml: bytes, kind: Kind | None) -> None:
    row = row_in(xml)
    assert (row.kind if row else None) == kind


def test_a_character_that_xml_cannot_write_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        render(replace(INVITATION, title="a\x0bb"))
    assert caught.value.code == "CON.XML"


def test_every_namespace_has_a_prefix_of_its_own() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES)
    assert {row.namespace for row in KINDS.values()} <= set(PREFIXES)


@pytest.mark.parametrize("said", SAMPLES.values(), ids=SAMPLES)
def test_what_is_read_is_what_was_written(said: Content) -> None:
    assert read(render(said)) == said
