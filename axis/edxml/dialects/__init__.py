"""DIALECTS: what older systems write becomes the one form, and goes out to them in theirs.

`table` has the dialects as data; `cut` reads the bytes once and takes the files
out, `mime` where they are parts beside the message; `normal` brings what is left
into today's form and says what it tolerated, `files` tells a file from its
wrapping, `write` is the way back. A message that came in a dialect is nobody's
word yet: no seal of the profile is on it.

Spec: docs/protocol/dialects.md.
"""

from axis.edxml.dialects.cut import Cut
from axis.edxml.dialects.files import contents, media_type_of
from axis.edxml.dialects.mime import RELATED, Cutter
from axis.edxml.dialects.normal import Judged, Normalised, is_sealed, judge, normalise, with_files
from axis.edxml.dialects.quirks import WORDS, Quirk, Tolerated
from axis.edxml.dialects.table import DEFAULT, DIALECTS, Clock, Dialect, Frame, Package, Packing, Policy
from axis.edxml.dialects.write import Rendering, render, rendered

__all__ = [
    "DEFAULT",
    "DIALECTS",
    "RELATED",
    "WORDS",
    "Clock",
    "Cut",
    "Cutter",
    "Dialect",
    "Frame",
    "Judged",
    "Normalised",
    "Package",
    "Packing",
    "Policy",
    "Quirk",
    "Rendering",
    "Tolerated",
    "contents",
    "is_sealed",
    "judge",
    "media_type_of",
    "normalise",
    "render",
    "rendered",
    "with_files",
]
