"""THE STORE (room 7): attachments by their digest.

A file is in the spool when its bytes are on the disk, or in the bucket, under
the SHA-256 they were found to have. Half a file is never there: it grows in a
staging folder and moves when it is whole.

Spec: design law 2; docs/protocol/gateway.md.
"""

from axis.spool.store import ABANDONED, Blob, Spool, Staged

__all__ = ["ABANDONED", "Blob", "Spool", "Staged"]
