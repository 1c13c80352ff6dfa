"""CUSTODY (room 5): one sealed envelope in, one signed answer out.

`accept` is the page to read: parse, verify, check, resolve, take custody,
answer. `examine` is its pure half, `custody` what one commit must hold;
`allowance` says who stands behind the others.
"""

from axis.intake.accept import Acceptance, Foreseen, Intake, Rejected
from axis.intake.allowance import Allowance

__all__ = ["Acceptance", "Allowance", "Foreseen", "Intake", "Rejected"]
