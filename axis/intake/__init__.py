"""CUSTODY (room 5): one sealed envelope in, one signed answer out.

`accept` is the page to read: parse, verify, check, resolve, take custody,
answer. `examine` is its pure half, `custody` what one commit must hold.
"""

from axis.intake.accept import Acceptance, Intake, Rejected

__all__ = ["Acceptance", "Intake", "Rejected"]
