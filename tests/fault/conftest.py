"""The table of a run of faults, printed when all has been done."""

import pytest

ROWS: list[str] = []  # One for each trial.


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault did."""
    if ROWS:
        terminalreporter.section("faults")
        for row in sorted(ROWS):
            terminalreporter.write_line(row)
