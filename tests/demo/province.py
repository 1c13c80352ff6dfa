"""Province: the axis, five offices and two document systems, as processes on this machine.

Every office has a place of its own with its own key and nothing of the
others', as if it were another machine; `config/offices/` are its settings.
"""

import asyncio
import secrets
import shutil
import socket
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from axis import registry
from tests.laboratory import Laboratory, axis

REPOSITORY = Path(__file__).parents[2]
OFFICES = {  # Code: its settings.
    "H56.VP": "provincial-office.toml",
    "H56.05": "department.toml",
    "H56.NR": "district.toml",
    "H56.112": "commune-ham-rong.toml",
    "H56.113": "commune-mau.toml",
}
OVER_HTTP = ("H56.05", "H56.NR")
_READY_S = 60.0

Heard = Callable[[dict[str, object]], None]


@dataclass(slots=True)
class Province:
    """The folder of one run, and what runs in it."""

    folder: Path
    laboratory: Laboratory
    said: Callable[[str], None]

    @property
    def data(self) -> Path:
        """Data folder of the axis."""
        return self.folder / "axis"

    def place(self, code: str) -> Path:
        """Folder of one office."""
        return self.folder / "offices" / code

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run one `axis` command to its end; return its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *axis(*arguments),
            env={**self.laboratory.base, "AXIS_DATA": str(self.data)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaints = await process.communicate()
        return process.returncode or 0, (out or complaints).decode()

    async def make_keys(self) -> None:
        """Make the province's authority, and a key and a certificate for the axis and each office."""
        trust = self.data / "trust"
        await self._done("pki", "init", str(trust), "--name", "CA tỉnh Thanh Hóa (ví dụ)")
        shutil.copy(REPOSITORY / "config" / "offices.toml", trust / "offices.toml")
        roll = registry.load_offices(trust / "offices.toml")
        for code in ("H56.TRUC", *OFFICES):
            await self._done("pki", "issue", str(trust), code, "--name", roll.by_code[code].name)

    async def _done(self, *arguments: str) -> None:
        code, said = await self.command(*arguments)
        if code:
            raise RuntimeError(f"axis {' '.join(arguments)}: {said}")

    async def start_axis(self, heard: Heard) -> None:
        """Start broker, router and gateway, with short waits: the demonstration has no days to lose."""
        await self.laboratory.start(
            "axis",
            *axis("up"),
            more={
                "AXIS_DATA": str(self.data),
                "AXIS_LOG_FORMAT": "json",
                "AXIS_GATEWAY__PORT": "0",
                "AXIS_DISPATCH__WAITS": '["PT2S", "PT3S", "PT5S"]',
                "AXIS_DISPATCH__LIFETIMES": '["P5D", "P5D", "P5D", "PT20S", "P5D"]',  # Hỏa tốc expires in 20 s.
            },
            heard=heard,
        )
        await self._until("axis", (self.data / "gateway.address").exists)

    async def start_offices(self) -> None:
        """Start every office and the document systems behind two of them."""
        for code in OVER_HTTP:
            self._furnish_system(code)
            await self.start_system(code)
        for code in OFFICES:
            await self._start_office(code)
        for code in OVER_HTTP:
            address = self.place(code) / "state" / code / "adapter.address"
            await self._until(f"office {code}", address.exists)
            shutil.copy(address, self.system(code) / "adapter.address")

    async def _start_office(self, code: str) -> None:
        place, trust = self.place(code), self.data / "trust"
        for name in ("keys", "certs", "secrets"):
            (place / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(trust / "certs", place / "trust" / "certs")
        for name in ("ca.pem", "crl.pem", "offices.toml"):
            shutil.copy(trust / name, place / "trust" / name)
        shutil.copy(trust / "certs" / f"{code}.pem", place / "certs")
        shutil.copy(trust / "keys" / f"{code}.key.pem", place / "keys")
        shutil.copy(self.data / "secrets" / code, place / "secrets" / code)
        more = {
            "AXIS_OFFICE_ROOT": str(place),
            "AXIS_BROKER_URL": f"amqp://{(self.data / 'broker.address').read_text().strip()}/",
            "AXIS_GATEWAY_URL": (self.data / "gateway.address").read_text().strip(),
            "AXIS_LOG_FORMAT": "json",
        }
        if code in OVER_HTTP:
            more["AXIS_OFFICE_ADAPTER_SYSTEM_URL"] = f"http://127.0.0.1:{self._port(code)}/axis/webhooks"
            more["AXIS_OFFICE_ADAPTER_PORT"] = "0"
            for ours, theirs in (("webhook", "webhook.secret"), ("token", "token")):
                shutil.copy(self.system(code) / theirs, place / "secrets" / f"{code}.{ours}")
        config = REPOSITORY / "config" / "offices" / OFFICES[code]
        await self.laboratory.start(f"office {code}", *axis("office", "run", str(config)), more=more)

    # --- document systems ---------------------------------------------------------------

    def system(self, code: str) -> Path:
        """Folder of an office's document system."""
        return self.folder / "systems" / code

    def _furnish_system(self, code: str) -> None:
        folder = self.system(code)
        folder.mkdir(parents=True)
        (folder / "webhook.secret").write_text("whsec_" + b64encode(secrets.token_bytes(24)).decode())
        (folder / "token").write_text(secrets.token_urlsafe(24))
        with socket.create_server(("127.0.0.1", 0)) as free:
            (folder / "port").write_text(str(free.getsockname()[1]))

    def _port(self, code: str) -> int:
        return int((self.system(code) / "port").read_text())

    async def start_system(self, code: str) -> None:
        """Start an office's document system."""
        await self.laboratory.start_python(
            f"system {code}",
            "tests.demo.document_system",
            "--folder",
            str(self.system(code)),
            "--port",
            str(self._port(code)),
        )

    async def post_letter(self, code: str, letter: str, files: list[Path]) -> None:
        """Let an office's document system send a letter, over the interface of its adapter."""
        async with self._to_adapter(code) as client:
            answer = await client.post(
                "/documents",
                data={"letter": letter},
                files=[("file", (file.name, file.read_bytes(), "application/pdf")) for file in files],
            )
            answer.raise_for_status()

    async def post_message(self, code: str, message: bytes) -> None:
        """Let an office's document system send a whole edXML message."""
        async with self._to_adapter(code) as client:
            answer = await client.post("/documents", content=message, headers={"content-type": "application/xml"})
            answer.raise_for_status()

    def _to_adapter(self, code: str) -> httpx.AsyncClient:
        folder = self.system(code)
        headers = {"Authorization": f"Bearer {(folder / 'token').read_text().strip()}"}
        return httpx.AsyncClient(base_url=(folder / "adapter.address").read_text().strip(), headers=headers, timeout=60)

    async def _until(self, name: str, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(_READY_S):
            while not ready():
                dead = self.laboratory.dead()
                if dead:
                    raise RuntimeError(f"{', '.join(dead)} ended early; see {self.folder / 'logs'}")
                await asyncio.sleep(0.1)
