"""Document system: what a department or a district runs behind its office, as a vendor would write it.

`python -m tests.demo.document_system --folder DIR --port N` takes the axis's
signed webhooks, fetches the files, gives incoming numbers, and remembers both.
It refuses, or chokes on, what its subject asks for: it is an actor in the demonstration.
"""

import argparse
import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REFUSES = "không thuộc thẩm quyền"  # In a subject: the clerk refuses it.
CHOKES = "tệp hỏng"  # In a subject: the system cannot take it until it is mended (a file `mended` lies in its folder).


class DocumentSystem:
    """Numbers by envelope, files by digest, receipts by digest; all in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._webhook = Webhook((folder / "webhook.secret").read_text().strip())
        self._token = (folder / "token").read_text().strip()
        self._register = folder / "register.json"
        self._numbers: dict[str, str] = json.loads(self._register.read_text()) if self._register.exists() else {}
        self._turn = asyncio.Lock()

    async def take(self, request: Request) -> Response:
        """Take one webhook."""
        body = await request.body()
        try:
            event = self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return JSONResponse({"reason": str(error)}, status_code=401)
        if event["type"] == "document.received":
            return await self._document(event["data"])
        await asyncio.to_thread(self._note, request.headers["webhook-id"], event)
        return Response(status_code=204)

    async def _document(self, facts: dict[str, Any]) -> Response:
        if REFUSES in facts["subject"]:
            return JSONResponse({"answer": "refused", "reason": "Văn bản không thuộc thẩm quyền của đơn vị"})
        if CHOKES in facts["subject"] and not (self._folder / "mended").exists():
            return JSONResponse({"reason": "không mở được tệp đính kèm"}, status_code=422)
        for file in facts["files"]:
            await self._fetch(facts["envelope_id"], file)
        async with self._turn:
            number = self._numbers.setdefault(facts["envelope_id"], str(len(self._numbers) + 1))
            await asyncio.to_thread(self._register.write_text, json.dumps(self._numbers))
        return JSONResponse({"answer": "registered", "number": number})

    async def _fetch(self, envelope_id: str, file: dict[str, Any]) -> None:
        target = self._folder / "files" / file["sha256"]
        if target.exists():
            return
        target.parent.mkdir(exist_ok=True)
        address = (self._folder / "adapter.address").read_text().strip()
        path = f"/documents/{envelope_id}/files/{file['sha256']}"
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {self._token}"}) as client:
            answer = (await client.get(path)).raise_for_status()
        if sha256(answer.content).hexdigest() != file["sha256"]:
            raise ValueError(f"{file['name']} is not what was announced")
        await asyncio.to_thread(target.write_bytes, answer.content)

    def _note(self, webhook_id: str, event: dict[str, Any]) -> None:
        folder = self._folder / "receipts"
        folder.mkdir(exist_ok=True)
        (folder / f"{webhook_id}.json").write_text(json.dumps(event["data"], ensure_ascii=False, indent=1))


def main() -> None:
    """Serve until told to stop."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--folder", type=Path, required=True)
    asked.add_argument("--port", type=int, required=True)
    options = asked.parse_args()
    system = DocumentSystem(options.folder)
    app = Starlette(routes=[Route("/axis/webhooks", system.take, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
