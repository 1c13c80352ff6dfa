"""Options of the HTTP adapter, from the table [adapter] of the office's file."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError

from axis import OfficeSettings, PermanentError


class HttpOptions(BaseModel):
    """What the HTTP adapter must know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["http"] = "http"
    system_url: AnyHttpUrl = Field(description="Where the system takes webhooks, https://host/path.")
    webhook_secret_file: Path = Field(description="File with the secret that signs webhooks (whsec_...).")
    token_file: Path = Field(description="File with the token that the system shows at our interface.")
    host: str = Field("127.0.0.1", description="Address of our interface.")
    port: int = Field(0, ge=0, le=65535, description="Port of our interface; 0: a free one, left in adapter.address.")
    timeout_s: float = Field(60.0, gt=0, le=600, description="How long the system may take to answer, in seconds.")
    keep_days: Annotated[int, Field(ge=7)] = Field(
        30, description="How long files of documents are kept for the system."
    )

    @classmethod
    def read(cls, settings: OfficeSettings) -> Self:
        """Return the options of an office; relative files are below the office's root.

        Raises:
            PermanentError: CFG.INVALID
        """
        try:
            options = cls.model_validate(settings.adapter)
        except ValidationError as error:
            wrong = "; ".join(f"adapter.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise PermanentError("CFG.INVALID", wrong) from error
        return options.model_copy(
            update={name: settings.root / getattr(options, name) for name in ("webhook_secret_file", "token_file")}
        )


def secret_in(file: Path) -> str:
    """Return the secret in a file.

    Raises:
        PermanentError: CFG.INVALID; there is none.
    """
    try:
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError("CFG.INVALID", f"{file}: {error}") from error
    if not secret:
        raise PermanentError("CFG.INVALID", f"{file} is empty")
    return secret
