"""Gate: a message against its schema, and all that is wrong with it.

libxml2 says yes or no in a fraction of a millisecond. Only for a no does
`xmlschema` walk the tree and list every violation with its line, its path and
words for a person. The dates that a pattern cannot judge are looked at here
too, because nothing behind the gate should meet the thirtieth of February.

Spec: schemas/document-1.xsd, schemas/status-1.xsd; docs/protocol/envelope.md.
"""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, cast

import xmlschema
from lxml import etree
from xmlschema.validators import facets

from axis.edxml import schemas
from axis.edxml.model import Kind
from axis.edxml.parse import Received
from axis.edxml.values import PREFIXES, RELEASE, collapse, parse_date, parse_moment, parse_timestamp, q
from axis.errors import Refusal, Violation, violation

_SCHEMA = {Kind.DOCUMENT: "document-1", Kind.STATUS: "status-1"}
_DATES = {q("PromulgationDate"): parse_date, q("DueDate"): parse_date, q("Timestamp"): parse_timestamp}
_MOST = 200  # Violations listed; beyond that the file is not what it claims to be.
# Children of one element that are explained: the schema takes 5,000 addressees, and what stands beside them.
_CROWD = 6000
_CROWDED = etree.XPath(f"//*[count(*) > {_CROWD}]")


def gate(received: Received) -> None:
    """Let a message through whose shape is right and whose days exist.

    Raises:
        Refusal: ENV.SCHEMA and RULE.DATE, every one with line and path.
    """
    shape = list(_schema_violations(received.root, _SCHEMA[received.kind]))
    reported = {found.path for found in shape}
    dates = (found for found in _date_violations(received.root) if found.path not in reported)
    violations = [*shape, *islice(dates, _MOST - len(shape))]
    if violations:
        raise Refusal(violations)


def schema_violations(root: etree._Element, name: str) -> list[Violation]:
    """Return what a schema finds wrong with a tree; empty if nothing."""
    return list(_schema_violations(root, name))


def _schema_violations(root: etree._Element, name: str) -> Iterator[Violation]:
    try:
        if schemas.gatekeeper(name).validate(root):
            return
    except etree.XMLSchemaValidateError as error:  # libxml2 gave up on the input: that is a no, not a failure of ours.
        yield violation("ENV.SCHEMA", str(error)[:200], rule="xsd:internal")
        return
    explained = _deduplicated(_explain(root, name))
    if explained:
        yield from explained
        return
    # The two engines differ on this input; libxml2 decides and speaks for itself - a fresh one, because the log of the
    # shared one may by now be about another thread's message.
    own = schemas.fresh_gatekeeper(name)
    own.validate(root)
    for entry in own.error_log:
        yield violation(
            "ENV.SCHEMA",
            _plain(entry.message)[:300],
            detail_vi="kiểu hoặc giá trị không hợp lệ",
            line=entry.line,
            path=entry.path or "",
            rule="xsd:invalid",
        )


def _explain(root: etree._Element, name: str) -> Iterator[Violation]:
    try:
        # It takes lxml trees; its types do not say so.
        for error in schemas.explainer(name).iter_errors(cast("Any", _cut(root))):
            place: object = error.elem
            if isinstance(place, etree._Element) and _is_said_of_the_rest(error, place):
                continue
            yield _violation_of(error, place if isinstance(place, etree._Element) else root)
    except (xmlschema.XMLSchemaException, ValueError, LookupError, TypeError):
        # It stumbles over some xsi:type; libxml2 has said no already, and what was found until here stands.
        return


def _cut(root: etree._Element) -> etree._Element:
    """Return a message without the children of one element beyond so many.

    For each child that should not be there `xmlschema` counts all of them, and only then says a first word.
    """
    if not _CROWDED(root):
        return root
    cut = deepcopy(root)
    for crowd in cast("list[etree._Element]", _CROWDED(cut)):
        del crowd[_CROWD:]
    return cut


def _is_said_of_the_rest(error: xmlschema.XMLSchemaValidationError, element: etree._Element) -> bool:
    """Whether something is said to be missing which may have been cut off."""
    is_missed = isinstance(error, xmlschema.XMLSchemaChildrenValidationError) and error.invalid_child is None
    return is_missed and len(element) >= _CROWD


def _violation_of(error: xmlschema.XMLSchemaValidationError, element: etree._Element) -> Violation:
    rule, en, vi = _words(error, element)
    place = element
    if isinstance(error, xmlschema.XMLSchemaChildrenValidationError) and error.invalid_child is not None:
        place = cast("etree._Element", error.invalid_child)
    return violation(
        "ENV.SCHEMA",
        en,
        detail_vi=vi,
        line=int(place.sourceline) if place.sourceline is not None else None,
        path=path_of(place),
        rule=rule,
    )


def _words(error: xmlschema.XMLSchemaValidationError, element: etree._Element) -> tuple[str, str, str]:
    """Return rule id, English and Vietnamese words for one finding."""
    name = _short(element.tag)
    value = (element.text or "").strip()[:60]
    if isinstance(error, xmlschema.XMLSchemaChildrenValidationError):
        return _words_of_children(error, name)
    match error.validator:
        case facets.XsdMaxLengthFacet() as facet:
            return (
                "xsd:maxLength",
                f"{name} is longer than {facet.value} characters",
                f"{name} dài quá {facet.value} ký tự",
            )
        case facets.XsdMinLengthFacet():
            return "xsd:minLength", f"{name} must not be empty", f"{name} không được để trống"
        case facets.XsdPatternFacets():
            return "xsd:pattern", f"{name} has a wrong form: “{value}”", f"{name} sai định dạng: “{value}”"
        case facets.XsdEnumerationFacets() as facet:
            allowed = ", ".join(str(one) for one in facet.enumeration)
            return (
                "xsd:enumeration",
                f"{name} “{value}” is none of: {allowed}",
                f"{name} “{value}” không thuộc: {allowed}",
            )
    reason = error.reason or "not valid"
    if "missing required attribute" in reason:
        attribute = reason.rsplit("'", 2)[-2]
        return (
            "xsd:required-attribute",
            f"{name} lacks the attribute {_short(attribute)}",
            f"{name} thiếu thuộc tính {_short(attribute)}",
        )
    if "attribute" in reason and "not allowed" in reason:
        return "xsd:attribute", f"{name}: {_plain(reason)}", f"{name} có thuộc tính không được phép"
    if "has a fixed value" in reason or "fixed value" in reason:
        return (
            "xsd:fixed",
            f"{name}: an attribute has not its fixed value",
            f"{name} có thuộc tính không đúng giá trị quy định",
        )
    if "duplicated value" in reason:
        return "xsd:unique", f"{name} holds a value twice", f"{name} có giá trị bị lặp"
    if "character data" in reason:
        return "xsd:text", f"{name} must not hold text of its own", f"{name} không được chứa văn bản trực tiếp"
    if "not an element of the schema" in reason or "is not an element" in reason:
        return "xsd:root", f"{name} is not known", f"Không biết phần tử {name}"
    return "xsd:invalid", f"{name}: {_plain(reason)}"[:300], f"{name} không hợp lệ: “{value}”"


def _words_of_children(error: xmlschema.XMLSchemaChildrenValidationError, name: str) -> tuple[str, str, str]:
    expected = [_short(tag) for tag in (error.expected_tags or [])]
    wanted = ", ".join(expected)
    if error.invalid_child is None:
        if not expected:
            return "xsd:missing", f"{name} is not complete", f"{name} chưa đủ thành phần"
        return "xsd:missing", f"{name} lacks {wanted}", f"{name} thiếu {wanted}"
    child = _short(error.invalid_child.tag)
    if expected:
        return (
            "xsd:unexpected",
            f"{child} is not allowed here; expected: {wanted}",
            f"{child} không được đặt ở đây; cần: {wanted}",
        )
    return "xsd:unexpected", f"{child} is not allowed here", f"{child} không được phép ở đây"


def _deduplicated(found: Iterator[Violation]) -> list[Violation]:
    """One finding per place and rule: a type and its base may both report the same fault."""
    seen: Counter[tuple[str, str, int | None]] = Counter()
    kept = []
    for one in found:
        key = (one.path, one.rule, one.line)
        seen[key] += 1
        if seen[key] == 1:
            kept.append(one)
        if len(kept) >= _MOST:
            break
    return kept


def _date_violations(root: etree._Element) -> Iterator[Violation]:
    for element in root.iter(*_DATES):
        text = collapse(element.text)
        if not text:
            continue  # Whether it may be empty is the schema's business.
        try:
            _DATES[str(element.tag)](text)
        except ValueError:
            yield _no_such_moment(element, f"{_short(element.tag)} {text[:40]}", path_of(element))
    for element in root.iter(q("OtherInfo")):
        text = str(element.get(RELEASE, ""))
        try:
            parse_moment(text) if text else None
        except ValueError:
            yield _no_such_moment(element, f"axp:release {text[:40]}", path_of(element))


def _no_such_moment(element: etree._Element, detail: str, path: str) -> Violation:
    line = int(element.sourceline) if element.sourceline is not None else None
    return violation("RULE.DATE", detail, line=line, path=path, rule="rule:date.exists")


_CLARK = re.compile(r"\{[^{}\s]+\}[\w.-]+")


def path_of(element: etree._Element) -> str:
    """Return where an element stands, as XPath with known prefixes; a position only where siblings share the name."""
    steps = []
    here: etree._Element | None = element
    while here is not None:
        step = _short(here.tag)
        parent = here.getparent()
        if parent is not None:
            name = str(here.tag)
            before = sum(1 for _ in here.itersiblings(name, preceding=True))
            if before > 0 or next(here.itersiblings(name), None) is not None:
                step = f"{step}[{before + 1}]"
        steps.append(step)
        here = parent
    return "/" + "/".join(reversed(steps))


def _short(tag: object) -> str:
    """Return a Clark name with its usual prefix."""
    text = str(tag)
    if not text.startswith("{"):
        return text.replace("e:", "edXML:", 1) if text.startswith("e:") else text  # The prefix of our own XSDs.
    namespace, local = text[1:].split("}", 1)
    return f"{PREFIXES.get(namespace, '')}{local}"


def _plain(reason: str) -> str:
    """Return a sentence of an engine with its Clark names in the short form."""
    return _CLARK.sub(lambda name: _short(name[0]), reason)
