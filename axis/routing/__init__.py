"""SORTING (room 4): a verified message and the roll become routes, one for each addressee.

Pure, and able to say why. Each addressee is decided by itself: one that cannot
be served takes nothing away from the others.

Spec: docs/protocol/intake.md.
"""

from axis.routing.resolve import Resolution, Route, require_active, resolve, unserved

__all__ = ["Resolution", "Route", "require_active", "resolve", "unserved"]
