"""Audit: the book, held against itself and against everything beside it, by a program that is none of those it judges.

The invariants have numbers, and every finding names its own:

    I1  no loss        every delivery that is owed ends with a receipt, or waits in sight        ledger, effects
    I2  once           an addressee's system acts once on an envelope                            effects
    I3  receipts       each is there, once, and its issuer has signed it                         ledger
    I4  no phantom     nothing is delivered that was not accepted, or with other content         ledger, effects
    I6  transitions    every delivery came to where it stands by moves that the states allow     history
    I7  conservation   no queue is missing, no grave is nobody's                                 ledger, queues
    I8  files          each file that an envelope names is there, byte for byte                  files
    I9  the record     receipts and envelopes are the bytes that they were, in unbroken chains   evidence

I5, order between documents, is not promised. The ledger checks itself in one
transaction (`ledger.audit`); the rest walks through its stories.

Spec: docs/promises.md.
Limits: the record is a chain for each delivery. Nobody outside keeps its heads,
so that a chain which was removed whole, with its envelope, leaves no gap here:
originator and addressees hold the receipts that prove it.
"""

from axis.audit.effects import Effects
from axis.audit.evidence import Evidence
from axis.audit.files import Files
from axis.audit.history import History
from axis.audit.queues import check_queues
from axis.audit.walk import Check, Checked, walk

__all__ = ["Check", "Checked", "Effects", "Evidence", "Files", "History", "check_queues", "walk"]
