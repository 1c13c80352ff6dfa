"""Gateway: files by digest; FastAPI under uvicorn, beside the router and with its spool."""

import asyncio
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from tests.bench.usual.told import Told

told = Told.from_env()
spool = Path(told.spool)

Digest = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$")]


async def require_key(x_api_key: Annotated[str, Header()]) -> None:
    """Let nobody in without the key."""
    if not secrets.compare_digest(x_api_key, told.gateway_key):
        raise HTTPException(401)


app = FastAPI(dependencies=[Depends(require_key)])


@app.put("/files/{digest}", status_code=201)
async def bring(digest: Digest, request: Request) -> None:
    """Take a file in; it appears under its digest when it is whole and on the disk."""
    partial = spool / f"{digest}.{secrets.token_hex(8)}"
    found = sha256()
    try:
        with partial.open("wb") as file:
            async for chunk in request.stream():
                found.update(chunk)
                file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if found.hexdigest() != digest:
            raise HTTPException(422, "other bytes than the digest says")
        partial.rename(spool / digest)
    finally:
        partial.unlink(missing_ok=True)


@app.get("/files/{digest}")
async def fetch(digest: Digest) -> FileResponse:
    """Give a file out."""
    path = spool / digest
    if not path.exists():
        raise HTTPException(404)
    return FileResponse(path, media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=told.gateway_port, access_log=False, log_level="warning")
