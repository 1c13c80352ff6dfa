"""Schemas: what a process compiles is right, however many threads ask first."""

import subprocess
import sys

import pytest

_PROCESSES = 8

# A process that has just started, with many messages waiting for it.
_AT_ONCE = """
import sys, threading
from axis.edxml import schemas
from tests.conformance.edxml.vectors import GOOD_DOCUMENTS
from lxml import etree

sys.setswitchinterval(1e-6)
text = GOOD_DOCUMENTS[0].xml
together = threading.Barrier(16)
answers = []

def ask():
    root = etree.fromstring(text)
    together.wait()
    answers.append(schemas.gatekeeper("document-1").validate(root))

threads = [threading.Thread(target=ask) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answers.append(schemas.gatekeeper("document-1").validate(etree.fromstring(text)))
sys.exit(answers != [True] * 17)
"""


@pytest.mark.parametrize("_number", range(_PROCESSES))
def test_threads_that_ask_first_and_at_once_all_get_the_right_answer(_number: int) -> None:
    """libxml2 does not guard its table of types; a race for it spoils every later answer of the process."""
    assert subprocess.run([sys.executable, "-c", _AT_ONCE], check=False).returncode == 0
