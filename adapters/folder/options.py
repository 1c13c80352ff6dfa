"""Options of the folder adapter, from the table [adapter] of the office's file."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axis import OfficeSettings, PermanentError


class FolderOptions(BaseModel):
    """What the folder adapter must know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["folder"] = "folder"
    folder: Path = Field(description="Where the office's folders are made.")
    settle_s: float = Field(
        2.0, ge=0.1, le=3600, description="How long a thing must stand unchanged before it is taken, in seconds."
    )
    register_by: Literal["clerk", "adapter"] = Field(
        "clerk", description="Who gives incoming numbers: a clerk with register.txt, or the adapter, counting by year."
    )

    @classmethod
    def read(cls, settings: OfficeSettings) -> Self:
        """Return the options of an office; a relative folder is below the office's root.

        Raises:
            PermanentError: CFG.INVALID
        """
        try:
            options = cls.model_validate(settings.adapter)
        except ValidationError as error:
            wrong = "; ".join(f"adapter.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise PermanentError("CFG.INVALID", wrong) from error
        return options.model_copy(update={"folder": settings.root / options.folder})
