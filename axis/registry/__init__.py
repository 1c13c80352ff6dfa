"""THE ROLL (room 3): which offices there are, under which names, and who may write to whom.

Tiers, codes, groups and rules are data: `model` holds the frozen registry, `file` reads
`offices.toml` and reports everything that is wrong with it at once,
`replacement` says what a new roll would break, `directory` what is new in it.

Spec: Decision 20/2020/QĐ-TTg and QCVN 102:2016 (identifiers); docs/protocol/registry.md.
"""

from axis.registry.directory import following, since
from axis.registry.file import AXIS_TIER, MOST_ADDRESSEES, check_offices, load_offices
from axis.registry.findings import Finding
from axis.registry.model import (
    AfterClosing,
    Channel,
    Group,
    History,
    Office,
    Registry,
    Rule,
    Standing,
    Status,
    Tier,
    Unsigned,
)
from axis.registry.replacement import check_replacement

__all__ = [
    "AXIS_TIER",
    "MOST_ADDRESSEES",
    "AfterClosing",
    "Channel",
    "Finding",
    "Group",
    "History",
    "Office",
    "Registry",
    "Rule",
    "Standing",
    "Status",
    "Tier",
    "Unsigned",
    "check_offices",
    "check_replacement",
    "following",
    "load_offices",
    "since",
]
