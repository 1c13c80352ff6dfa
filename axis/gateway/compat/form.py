"""Form: `edocFile` out of the form that brings it, as it comes, however large it is.

The other fields are short; they may stand before the file or behind it, and
are known when all of it has been read.

Spec: RFC 7578; docs/protocol/compat.md 4.
"""

from collections.abc import AsyncIterator, Mapping

from axis.errors import PermanentError
from axis.gateway import multipart
from axis.gateway.multipart import KIND, NotAForm

FILE = "edocFile"
_MOST_BYTES = 200  # Of any other field.
_MOST_PARTS = 21


class Form(multipart.Form):
    """Reads one form."""

    def __init__(self, content_type: str) -> None:
        try:
            super().__init__(content_type)
        except NotAForm as error:
            raise PermanentError("API.MEDIA_TYPE", f"{KIND}, {error}") from error
        self.fields: dict[str, bytearray] = {}  # All but the file, once that has been read.
        self._file = bytearray()  # What has come of it and was not taken yet.
        self._has_file = False
        self._parts = 0
        self._into = self._file

    async def file(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the file out of a body.

        Raises:
            PermanentError: API.PARAMETER; it is no form, or there is no file in it. No refusal of a message: nobody has
                seen one yet.
        """
        try:
            async for chunk in chunks:
                self.write(chunk)
                if self._file:
                    yield bytes(self._file)
                    self._file.clear()
            self.require_end()
            if not self._has_file:
                raise NotAForm(f"no part “{FILE}”")
        except NotAForm as error:
            raise PermanentError("API.PARAMETER", f"{KIND}: {error}") from error

    def _open(self, field: str, _file_name: str, _headers: Mapping[bytes, bytes]) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:  # Of one name, too: such a form would never end.
            raise NotAForm(f"> {_MOST_PARTS} parts")
        if field == FILE:
            if self._has_file:
                raise NotAForm(f"“{FILE}” twice")
            self._has_file = True
            self._into = self._file
            return
        self._into = self.fields.setdefault(field, bytearray())

    def _data(self, data: bytes) -> None:
        self._into += data
        if self._into is not self._file and len(self._into) > _MOST_BYTES:
            raise NotAForm(f"a field has > {_MOST_BYTES} bytes")
