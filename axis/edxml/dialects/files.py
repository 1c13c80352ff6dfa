"""Files: what is really in an attachment, and what kind of file its name says that it is.

Most systems put a file into a zip of its own, some do not, and what they say
about it is often wrong. So the bytes are looked at: a zip with one entry is
the wrapping of a file, unless the file is a zip by its name or by its inside.

Spec: docs/protocol/dialects.md 4.
"""

import struct
import zipfile
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from axis.edxml.dialects.table import Dialect, Packing
from axis.edxml.split import Sips, unwrap
from axis.errors import refuse

OCTETS = "application/octet-stream"
ZIP = "application/zip"

# By suffix. A table of our own: that of the machine differs from machine to machine, and this comes under the seal.
MEDIA_TYPES = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "xml": "application/xml",
    "edxml": "application/xml",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "zip": ZIP,
    "rar": "application/vnd.rar",
    "7z": "application/x-7z-compressed",
}
_ZIPS = frozenset({"zip", "docx", "docm", "dotx", "xlsx", "xlsm", "xltx", "pptx", "pptm", "odt", "ods", "odp", "jar", "kmz", "epub"})  # fmt: skip
_INSIDE = frozenset({"[Content_Types].xml", "mimetype"})  # Only in files that are zips themselves.
_MAGIC = b"PK\x03\x04"
_CHUNK_BYTES = 256 * 1024
_UNREADABLE = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, struct.error, OSError)


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, or ""."""
    _, dot, suffix = name.rpartition(".")
    return suffix.casefold() if dot else ""


def media_type_of(name: str, said: str = "") -> str:
    """Return the media type of a file: by its name, else what was said of it unless that is about the wrapping."""
    known = MEDIA_TYPES.get(suffix_of(name))
    return known or (said if said not in ("", ZIP) else OCTETS)


def contents(packed: BinaryIO, name: str, dialect: Dialect) -> Iterator[bytes]:
    """Yield a file as it is, or out of its wrapping.

    Args:
        packed: What was in the message, after base64; seekable.
        name: As the message has it.
        dialect: Of the message: where it wraps no files, a zip that is called so is one.

    Raises:
        Refusal: ATT.ARCHIVE; it can be neither used as it is nor unpacked, or was made to harm.
        TransientError: SYS.SPOOL
    """
    if is_wrapped(packed, name, dialect):
        yield from unwrap(packed)
        return
    packed.seek(0)
    while chunk := packed.read(_CHUNK_BYTES):
        yield chunk


def is_wrapped(packed: BinaryIO, name: str, dialect: Dialect) -> bool:
    """Tell whether the file is the one entry of a zip.

    Raises:
        Refusal: ATT.ARCHIVE; it begins as the zip that the dialect puts files into, and is none.
    """
    packed.seek(0)
    if packed.read(len(_MAGIC)) != _MAGIC:
        return False
    suffix = suffix_of(name)
    is_zip_by_name = suffix in _ZIPS
    if is_zip_by_name and dialect.packing is Packing.PLAIN:
        return False
    try:
        with zipfile.ZipFile(cast("IO[bytes]", Sips(packed))) as archive:
            entries = archive.infolist()
    except _UNREADABLE as error:
        if is_zip_by_name or dialect.packing is Packing.PLAIN:  # A file as it is, whatever its first bytes.
            return False
        raise refuse("ATT.ARCHIVE", name) from error
    if len(entries) != 1 or entries[0].is_dir() or entries[0].filename in _INSIDE:
        return False
    # The SDK calls the entry by an id and the suffix of the file.
    return not is_zip_by_name or suffix_of(entries[0].filename) == suffix
