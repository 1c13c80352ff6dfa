"""Scale: the arithmetic, by figures that a person can follow."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import scale
from tests.bench.scale import Asked

_CPU = {"axis up": 10.0, "broker": 2.0, "originator": 9.0, "all": 21.0}
_PG = {"axis up": 10.0, "broker": 2.0, "ledger": 5.0, "all": 17.0}
_CHAIN = {"cpu_ms": _PG, "envelope_bytes": 4_300, "receipt_bytes": 2_200}


def _offices(number: int, broker_mib: float) -> dict[str, Any]:
    rest = {"broker": number / 10_000}
    return {"offices": number, "broker_mib": broker_mib, "axis_mib": 100, "rest_cores": rest, "axis_started_s": 33.21}


_ROWS: dict[str, Any] = {
    "chain": {"cpu_ms": _CPU, "others_cores": 0.01},
    "chain, PostgreSQL": _CHAIN,
    "chain, PostgreSQL, 2 routers": _CHAIN,
    "fan-out, 700": {"cpu_ms": {"axis up": 4.0, "broker": 1.0, "all": 5.0}},
    "fan-out, 3321": {"delivered_s": 30.0},
    "offices, 100": _offices(100, 110),
    "offices, 3321": _offices(3_321, 432.1),
    "growth": {
        "documents": 1_000,
        "ledger_mib": 1,
        "empty": {"cpu_ms": {"ledger": 5.0}},
        "full": {"cpu_ms": {"ledger": 6.0}},
    },
    "recovery": {"per_second": 100.0},
}
_LINE = {
    "at": "2026-11-27T00:00:00+00:00",
    "versions": {"commit": "abc", "python": "3.11", "rabbitmq": "3.10"},
    "machine": {"cores": 2, "gib": 24, "model": "example"},
    "rows": _ROWS,
}
_ASKED = Asked(offices=3_600, provinces=1, documents=10, busiest=0.1, addressees=2, load=0.5)


def test_costs_are_read_from_the_rows() -> None:
    costs = scale.costs_of(_ROWS)

    assert costs.broker_mib == pytest.approx((100, 0.1))
    assert costs.rest_cores == pytest.approx((0, 0.0001))
    assert costs.ledger_bytes == pytest.approx(1024**2 / 1_000 + 4_300 - 300 + 3 * (2_200 - 200))
    assert costs.document_ms(costs.single, "axis up", 2) == pytest.approx(14)
    # PostgreSQL: as much of each further addressee as of the first, and a fifth dearer when it is full.
    assert costs.document_ms(costs.cluster, "ledger", 2) == pytest.approx((5 + 2) * 1.2)


def test_one_machine_carries_what_one_interpreter_can() -> None:
    figures = {what: figure for what, _, figure in scale.one_machine(_ASKED, scale.costs_of(_ROWS))}

    assert figures["documents a second"] == "35.7"  # Half of 1,000 / 14 ms.
    assert figures["offices that send so much"] == "128,571"  # One in 3,600 seconds each.


def test_newest_line_that_holds_every_row_is_taken() -> None:
    lacking = {**_LINE, "rows": {"chain": _ROWS["chain"]}}
    lines = [json.dumps(one) for one in ({**_LINE, "at": "older"}, _LINE, lacking)]

    assert scale.newest(lines) == _LINE
    assert scale.newest(lines[2:]) is None
    assert "fan-out, 700" in "\n".join(scale.written(_ASKED, lines[2:]))


def test_tables_take_the_place_of_those_that_are_there(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text(f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n", encoding="utf-8")

    scale.put(page, "\n".join(scale.written(_ASKED, [json.dumps(_LINE)])))
    text = page.read_text(encoding="utf-8")

    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "### The country" in text


def test_the_page_has_a_place_for_the_tables() -> None:
    text = scale.PAGE.read_text(encoding="utf-8")

    assert text.count(scale.BEGIN) == text.count(scale.END) == 1
