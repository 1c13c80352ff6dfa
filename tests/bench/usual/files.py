"""Files: the client of the gateway; httpx, one pool of connections for each process."""

from hashlib import sha256

import httpx

from tests.bench.usual.documents import RefusedError


class Files:
    """Brings files to the gateway and fetches them."""

    def __init__(self, gateway_url: str, key: str) -> None:
        self._http = httpx.AsyncClient(base_url=gateway_url, headers={"X-API-Key": key}, timeout=60)

    async def bring(self, content: bytes) -> str:
        """Upload a file; return its digest."""
        digest = sha256(content).hexdigest()
        (await self._http.put(f"/files/{digest}", content=content)).raise_for_status()
        return digest

    async def fetch(self, digest: str, size_bytes: int) -> bytes:
        """Download a file.

        Raises:
            RefusedError: It is not what was signed.
        """
        answer = await self._http.get(f"/files/{digest}")
        answer.raise_for_status()
        content = answer.content
        if len(content) != size_bytes or sha256(content).hexdigest() != digest:
            raise RefusedError("the file is not the one that was signed")
        return content

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
