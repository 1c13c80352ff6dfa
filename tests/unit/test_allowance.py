"""Allowance: what a bucket of tokens lets through."""

from axis.intake import Allowance


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _taken(allowance: Allowance, office: str, wanted: int) -> int:
    return sum(allowance.take(office) for _ in range(wanted))


def test_bucket_is_full_at_first_fills_again_and_never_holds_more() -> None:
    clock = _Clock()
    allowance = Allowance(burst=10, per_second=2.0, clock_s=clock)
    assert _taken(allowance, "H56.05", 20) == 10
    clock.now_s += 3
    assert _taken(allowance, "H56.05", 20) == 6
    clock.now_s += 1_000_000
    assert _taken(allowance, "H56.05", 20) == 10


def test_offices_share_nothing() -> None:
    allowance = Allowance(burst=3, per_second=1.0, clock_s=_Clock())
    assert [_taken(allowance, office, 5) for office in ("H56.05", "H56.112")] == [3, 3]


def test_what_trickles_is_let_through() -> None:
    clock = _Clock()
    allowance = Allowance(burst=1, per_second=2.0, clock_s=clock)
    for _ in range(100):
        assert allowance.take("H56.05")
        clock.now_s += 0.5
