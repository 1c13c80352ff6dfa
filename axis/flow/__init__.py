"""THE REHEARSAL: a business flow as a file, played on a real axis by real offices.

`script` reads a flow; `steps` is its vocabulary, in one table and a file for each
matter; `stage` is the axis and the offices of one flow, `clerk` an office's document
system that answers as it is told, `expect` what ought to be against what is; `run`
plays many beside each other. It stands above everything that serves, and nothing
that serves knows it.

Spec: docs/flows/README.md; docs/adr/0022.
"""

from axis.flow.run import DEFAULT_LIMIT_S, Failure, Result, private_node, read, run_all
from axis.flow.script import Flow, Misread
from axis.flow.steps import VERBS

__all__ = ["DEFAULT_LIMIT_S", "VERBS", "Failure", "Flow", "Misread", "Result", "private_node", "read", "run_all"]
