"""THE ROLL (room 3): which offices there are, under which names, and who may write to whom.

Tiers, codes and rules are data: `model` holds the frozen registry, `file` reads
`offices.toml` and reports everything that is wrong with it at once.

Spec: Decision 20/2020/QĐ-TTg and QCVN 102:2016 (identifiers); docs/protocol/registry.md.
"""

from axis.registry.file import Finding, check_offices, load_offices
from axis.registry.model import Office, Registry, Rule, Status, Tier

__all__ = ["Finding", "Office", "Registry", "Rule", "Status", "Tier", "check_offices", "load_offices"]
