"""The row `usual`, as the table and the results know it."""

from dataclasses import dataclass

from tests.bench.meters import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """The chain as a team would write it."""

    documents: int
    envelope_bytes: int
    receipt_bytes: int
    seconds: float
    per_second: float
    cpu_ms: dict[str, float]  # For each document, by process.
    others_cores: float
    registered: Spread  # From acceptance to the registered receipt, by the times in its ledger.
