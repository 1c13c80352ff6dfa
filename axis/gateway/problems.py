"""Problems: every answer that is a no has one shape and a code of the catalogue.

Spec: RFC 9457.
"""

from collections.abc import Mapping

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from axis.errors import CATALOGUE, AxisError, Refusal, TransientError, violation
from axis.intake import Rejected
from axis.telemetry import events

_RETRY_AFTER_S = "5"
_BY_STATUS = {  # What the framework refuses by itself; all else is a parameter of the wrong form.
    401: "API.AUTH",
    404: "API.NOT_FOUND",
    405: "API.METHOD",
    408: "API.BUSY",
    413: "ENV.TOO_LARGE",
    416: "API.RANGE",
    429: "API.BUSY",
}
_LATER = (429, 500, 503)  # Always with Retry-After: nobody is told to come again without being told when.


def problem(
    code: str,
    *,
    detail: str = "",
    violations: tuple[Mapping[str, object], ...] = (),
    receipt: str | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem document."""
    entry = CATALOGUE[code]
    listed = violations or (violation(code, detail).as_dict(),)  # The first one is what the whole is called by.
    body = {
        "type": f"urn:axis:problem:{code}",
        "title": listed[0]["en"],
        "status": status or entry.http,
        "detail": listed[0]["vi"],
        "code": code,
        "violations": list(listed),
        "receipt": receipt,
    }
    said = dict(headers or {})
    if body["status"] in _LATER:
        said.setdefault("Retry-After", _RETRY_AFTER_S)
    return JSONResponse(body, status_code=status or entry.http, headers=said, media_type="application/problem+json")


async def of_axis(_request: Request | None, error: Exception) -> JSONResponse:
    """Answer for an error of the axis."""
    if isinstance(error, Rejected):
        return problem(
            error.code,
            detail=error.refusal.detail,
            violations=tuple(found.as_dict() for found in error.refusal.violations),
            receipt=error.receipt_xml.decode(),
        )
    if isinstance(error, Refusal):
        listed = tuple(found.as_dict() for found in error.violations)
        # RFC 9110 §11.6.1.
        return problem(
            error.code, violations=listed, headers={"WWW-Authenticate": "Bearer"} if error.code == "API.AUTH" else None
        )
    if isinstance(error, TransientError):
        return problem(error.code, detail=error.detail, status=503)
    if not isinstance(error, AxisError):
        raise error
    return problem(error.code, detail=error.detail)


async def of_any(request: Request | None, error: Exception) -> JSONResponse:
    """Answer for whatever may be raised."""
    for kind, answers in _OF_KINDS:
        if isinstance(error, kind):
            return await answers(request, error)
    return await of_the_unforeseen(request, error)


def out_of_range(refusal: Refusal, size: int) -> JSONResponse:
    """Answer for a range that the file does not have; RFC 9110 §15.5.17."""
    listed = tuple(found.as_dict() for found in refusal.violations)
    return problem(refusal.code, violations=listed, headers={"Content-Range": f"bytes */{size}"})


async def of_http(_request: Request | None, error: Exception) -> JSONResponse:
    """Answer for what the framework refuses by itself."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status >= 500:
        return problem("SYS.INTERNAL", status=status, headers=headers)
    detail = error.detail if isinstance(error, HTTPException) else ""
    return problem(_BY_STATUS.get(status, "API.PARAMETER"), detail=detail, status=status, headers=headers)


async def of_parameters(_request: Request | None, error: Exception) -> JSONResponse:
    """Answer for a parameter of the wrong form."""
    detail = (
        "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        if isinstance(error, RequestValidationError)
        else ""
    )
    return problem("API.PARAMETER", detail=detail)


async def of_the_unforeseen(_request: Request | None, error: Exception) -> JSONResponse:
    """Answer for a fault of ours: no details, they may be sensitive."""
    events.service_failed(name="gateway", error=error)
    return problem("SYS.INTERNAL")


_OF_KINDS = ((AxisError, of_axis), (HTTPException, of_http), (RequestValidationError, of_parameters))
