"""The table of a run of faults, printed when all has been done, wherever the trials ran."""

import pytest

ROW, SUM = "fault row", "faults injected"  # Names of what a trial reports.
_HEAD = ("fault", "seed", "what", "injected", "documents", "lost", "doubled", "asked again", "recovered in")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault did."""
    rows: list[tuple[str, ...]] = []
    sums: dict[str, int] = {}
    reports = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "call"]
    for name, value in (pair for report in reports for pair in report.user_properties):
        if name == ROW:
            rows.append(tuple(value))
        elif name == SUM:
            sums |= {kind: sums.get(kind, 0) + number for kind, number in value.items()}
    if not rows:
        return
    terminalreporter.section("faults")
    table = [_HEAD, *sorted(rows, key=lambda row: (row[0], int(row[1])))]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    for row in table:
        cells = [
            cell.ljust(width) if number < 4 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        terminalreporter.write_line("  ".join(cells).rstrip())
    terminalreporter.write_line("")
    terminalreporter.write_line(
        f"{len(rows)} trials: " + ", ".join(f"{number} {kind}" for kind, number in sorted(sums.items()))
    )
