"""Gate: what is wrong with a message is told without looking at all that is wrong with it."""

import pytest
import xmlschema

from axis import edxml
from axis.errors import Refusal
from tests.province import DOCUMENT

_UNKNOWN = "<edXML:Xx/>"


def _with_unknown(number: int) -> bytes:
    return DOCUMENT.replace("</edXML:MessageHeader>", f"{_UNKNOWN * number}\n</edXML:MessageHeader>", 1).encode()


def test_crowd_of_what_should_not_be_there_is_explained_by_its_first_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = 0, xmlschema.XMLSchemaChildrenValidationError.__init__

    def count(*given: object, **named: object) -> None:
        nonlocal made
        made += 1
        real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(xmlschema.XMLSchemaChildrenValidationError, "__init__", count)
    received = edxml.parse(_with_unknown(40_000))
    elements = sum(1 for _ in received.root.iter())

    with pytest.raises(Refusal) as caught:
        edxml.gate(received)

    assert made <= 6_000, "each looks at all its siblings"
    assert sum(1 for _ in received.root.iter()) == elements, "the message itself stays as it is"
    assert len(caught.value.violations) == 200


def test_crowd_is_told_like_few() -> None:
    def told(number: int) -> list[tuple[str, int | None, str]]:
        with pytest.raises(Refusal) as caught:
            edxml.gate(edxml.parse(_with_unknown(number)))
        return [(found.rule, found.line, found.path) for found in caught.value.violations]

    assert told(40_000) == told(300)
    assert told(300)[7][2].endswith("/edXML:MessageHeader/edXML:Xx[8]")


@pytest.mark.parametrize("addressees", [4_998, 5_102, 7_000])
def test_nothing_untrue_is_told_of_a_crowd(addressees: int) -> None:
    """Of what was cut off nobody may say that it is missing."""
    end = DOCUMENT.index("</edXML:To>") + len("</edXML:To>")
    to = DOCUMENT[DOCUMENT.index("<edXML:To>") : end]
    crowd = DOCUMENT[:end] + to * (addressees - 1) + DOCUMENT[end:].replace("edXML:Subject>", "edXML:Subjekt>")

    with pytest.raises(Refusal) as caught:
        edxml.gate(edxml.parse(crowd.encode()))

    told = {(found.rule, found.path.rsplit("/", 1)[1]) for found in caught.value.violations}
    is_too_many = addressees > 5_000
    assert ("xsd:unexpected", "edXML:To[5001]" if is_too_many else "edXML:Subjekt") in told
    assert "xsd:missing" not in {rule for rule, _ in told}


def test_mistake_in_a_circular_to_every_commune_is_found_wherever_it_is() -> None:
    end = DOCUMENT.index("</edXML:To>") + len("</edXML:To>")
    to = DOCUMENT[DOCUMENT.index("<edXML:To>") : end]
    wrong = to.replace("<edXML:OrganId>", "<edXML:Organ>").replace("</edXML:OrganId>", "</edXML:Organ>")
    circular = DOCUMENT[:end] + to * 3300 + wrong + DOCUMENT[end:]

    with pytest.raises(Refusal) as caught:
        edxml.gate(edxml.parse(circular.encode()))

    assert {found.path.split("edXML:To[")[1].split("]")[0] for found in caught.value.violations} == {"3302"}
