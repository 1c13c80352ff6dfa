"""Asked: a small JSON body, read when it is known who calls, and how OpenAPI says it.

The framework would read a body before it knows the caller, and without a limit.
"""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from axis.errors import refuse
from axis.gateway import files
from axis.gateway.rooms import require_plain

_MOST_BYTES = 16 * 1024
_B = TypeVar("_B", bound=BaseModel)


async def read(request: Request, kind: type[_B]) -> _B:
    """Read a small body.

    Raises:
        Refusal: ENV.TOO_LARGE, ENV.ENCODING, API.PARAMETER
        HTTPException: 408
    """
    require_plain(request)
    body = await files.small(request.receive, _MOST_BYTES)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'JSON'}: {one['msg']}" for one in error.errors())
        raise refuse("API.PARAMETER", wrong) from error


def taking(body: type[BaseModel]) -> dict[str, Any]:
    """Return how OpenAPI says which body a route takes."""
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # What it refers to stands there for the answers.
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
