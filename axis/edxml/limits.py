"""Limits: how much of anything one message may hold.

Each cap is checked before the work that it bounds. Canonicalisation is
quadratic in the attributes of one element, so attributes and namespaces are
counted before it; the envelope's size is known before it is parsed.
"""

MAX_ENVELOPE_BYTES = 1024 * 1024  # Of the sealed envelope, without attachments.
MAX_ELEMENTS = 50_000  # A circular to every commune of the country has 3,321 addressees of 7 to 9 elements each.
MAX_DEPTH = 40
MAX_ATTRIBUTES = 32  # Of one element.
MAX_NAMESPACES = 64  # In scope of one element.
MAX_ATTACHMENTS = 100
MAX_ATTACHMENT_BYTES = 2 * 1024**3
MAX_TOTAL_BYTES = 4 * 1024**3
MAX_ZIP_RATIO = 200  # Of unpacked to packed size: Office files and PDFs stay far below.
MAX_HARMLESS_BYTES = 16 * 1024 * 1024  # Up to here a ratio does no harm: a blank page packs a thousandfold.
MAX_NAME_CHARS = 255
