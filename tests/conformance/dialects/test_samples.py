"""Messages as older systems write them, re-made with invented values: each means what it must, or is refused for what it must.

`samples.toml` says of each file what is expected: the whole message, the quirks
that are tolerated, the files that are in it; or every violation with its line.
"""

import io
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from axis import edxml
from axis.edxml import Document
from axis.edxml.dialects import (
    DIALECTS,
    Cutter,
    Judged,
    Policy,
    Quirk,
    contents,
    judge,
    normalise,
    render,
    with_files,
)
from axis.edxml.model import Message, Status
from axis.errors import CATALOGUE, Refusal

FOLDER = Path(__file__).parent
MANIFEST = tomllib.loads((FOLDER / "samples.toml").read_text(encoding="utf-8"))
SAMPLES: list[dict[str, Any]] = MANIFEST["samples"]


def _id(sample: dict[str, Any]) -> str:
    return f"{sample['file']}-{sample.get('unsigned', 'accept')}"


def _policy(sample: dict[str, Any]) -> Policy:
    return Policy(DIALECTS[sample["dialect"]], takes_unsigned=sample.get("unsigned", "accept") == "accept")


def _cutter(octets: bytes) -> Cutter:
    cutter = Cutter(io.BytesIO)
    cutter.feed(octets)
    return cutter


def _octets(sample: dict[str, Any]) -> bytes:
    path: Path = FOLDER / "samples" / sample["file"]
    return path.read_bytes()


def _judged(sample: dict[str, Any]) -> Judged:
    return judge(_cutter(_octets(sample)).close(), _policy(sample))


def _whole(judged: Judged, policy: Policy) -> tuple[Message, list[bytes]]:
    """Return what a message says, with its files."""
    message = judged.message
    assert message is not None
    names = [ref.name for ref in message.attachments] if isinstance(message, Document) else []
    files = [
        b"".join(contents(sink, name, policy.dialect))  # type: ignore[arg-type]
        for sink, name in zip(judged.sinks, names, strict=True)
    ]
    return with_files(message, [(sha256(file).hexdigest(), len(file)) for file in files]), files


def _plain(value: Any) -> Any:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _expected(sample: dict[str, Any], message: Message) -> dict[str, Any]:
    common: dict[str, Any] = MANIFEST["status" if isinstance(message, Status) else "document"]
    said: dict[str, Any] = common | sample.get("says", {})
    return {name: value for name, value in said.items() if name not in sample.get("says_not", [])}


GOOD = [sample for sample in SAMPLES if "violations" not in sample]
BAD = [sample for sample in SAMPLES if "violations" in sample]


@pytest.mark.parametrize("sample", GOOD, ids=_id)
def test_sample_means_what_it_must(sample: dict[str, Any]) -> None:
    judged = _judged(sample)
    assert judged.violations == ()
    message, _ = _whole(judged, _policy(sample))
    assert _plain(asdict(message)) == _expected(sample, message)
    assert [one.quirk.value for one in judged.tolerated] == sample["tolerated"]


@pytest.mark.parametrize("sample", GOOD, ids=_id)
def test_one_form_of_a_sample_passes_the_gate_and_means_the_same(sample: dict[str, Any]) -> None:
    message, _ = _whole(_judged(sample), _policy(sample))
    received = edxml.parse(edxml.render(message, edxml.Notary("H56.TRUC", "0" * 64)))
    edxml.gate(received)
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    again = edxml.read_trees(received.kind, parts)
    assert _plain(asdict(again)) | {"traces": []} == _plain(asdict(message)) | {"traces": []}


@pytest.mark.parametrize("sample", GOOD, ids=_id)
def test_sample_goes_out_again_in_every_dialect(sample: dict[str, Any]) -> None:
    message, files = _whole(_judged(sample), _policy(sample))
    for dialect in DIALECTS.values():
        octets = b"".join(render(dialect, message, [[file] for file in files]))
        policy = Policy(dialect, takes_unsigned=True)
        assert _whole(judge(_cutter(octets).close(), policy), policy) == (message, files)


@pytest.mark.parametrize("sample", BAD, ids=_id)
def test_sample_is_refused_for_exactly_what_is_wrong(sample: dict[str, Any]) -> None:
    assert [list(found) for found in _violations(sample)] == sample["violations"]


def _violations(sample: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    policy = _policy(sample)
    with pytest.raises(Refusal) as caught:
        cut = _cutter(_octets(sample)).close()
        normal = normalise(cut, policy)
        _whole(Judged(None, normal.message, normal.sinks, (), ()), policy)
    for found in caught.value.violations:
        assert found.vi.startswith(CATALOGUE[found.code].vi.split("{")[0])
        yield found.code, found.rule, found.line or 0


def test_every_file_is_a_sample_and_every_quirk_and_dialect_has_one() -> None:
    assert {sample["file"] for sample in SAMPLES} == {path.name for path in (FOLDER / "samples").iterdir()}
    assert {sample["dialect"] for sample in SAMPLES} == set(DIALECTS)
    assert {quirk for sample in GOOD for quirk in sample["tolerated"]} == {quirk.value for quirk in Quirk}


def test_what_is_tolerated_is_said_in_both_languages() -> None:
    for sample in GOOD:
        for one in _judged(sample).tolerated:
            assert one.vi
            assert one.en
            assert one.as_dict()["quirk"] == one.quirk.value
