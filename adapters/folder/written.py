"""Written: what a clerk has written into a file, in whichever way the editor has saved it.

What cannot be read is not guessed at: a receipt is signed of it, and cannot be
unsaid. A note beside the file says so, until the file is mended.
"""

import codecs
import unicodedata
from pathlib import Path

from adapters.folder.places import write_whole

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Notepad calls it "Unicode".


def note_name(name: str) -> str:
    """Return the name of the note beside a file that cannot be read."""
    return f"khong-doc-duoc-{name}"


def read_words(path: Path) -> str:
    """Return what is written in a file, on one line; "" if that is nothing, or cannot be read."""
    note = path.with_name(note_name(path.name))
    try:
        words = words_in(path.read_bytes())
    except ValueError:
        told = _told(path.name)
        if not note.exists() or note.read_bytes() != told:
            write_whole(note, told)
        return ""
    note.unlink(missing_ok=True)
    return words


def words_in(content: bytes) -> str:
    """Return text on one line, from UTF-16 if its first bytes say so, else from UTF-8.

    Raises:
        ValueError: It is neither.
    """
    words = " ".join(content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig").split())
    if any(unicodedata.category(one) == "Cc" for one in words):  # UTF-16 that does not say so has a NUL in each letter.
        raise ValueError("control characters")
    return words


def _told(name: str) -> bytes:
    return (
        f"{name}: không đọc được chữ trong tệp này nên chưa có gì được gửi đi. Mở tệp bằng Notepad, chọn Save As, "
        f"Encoding: UTF-8, lưu lại với đúng tên {name}.\n"
        f"{name}: the text of this file cannot be read, and nothing has been sent. Save it again in UTF-8, under the same "
        "name.\n"
    ).encode()
