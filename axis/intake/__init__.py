"""CUSTODY (room 5): one sealed envelope in, one signed answer out.

`accept` is the page to read: parse, verify, check, resolve, take custody,
answer. `examine` is its pure half, `custody` what one commit must hold;
`allowance` says who stands behind the others, `notary` seals what older systems send.
"""

from axis.intake.accept import Acceptance, Foreseen, Intake, Rejected
from axis.intake.allowance import Allowance
from axis.intake.enclosed import Files
from axis.intake.notary import Original, notarise

__all__ = ["Acceptance", "Allowance", "Files", "Foreseen", "Intake", "Original", "Rejected", "notarise"]
