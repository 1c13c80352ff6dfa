"""Told: what each process of the usual way is told in its environment."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AXIS, ORIGINATOR, ADDRESSEE = "H56.TRUC", "H56.05", "H56.112"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Places and keys."""

    broker_url: str
    ledger_url: str  # Of the router.
    gateway_port: int  # On loopback.
    gateway_key: str  # Which offices show to the gateway.
    spool: str  # Folder of router and gateway.
    trust: str  # Folder of keys and certificates.
    folder: str  # For what a process keeps and says.

    @classmethod
    def from_env(cls) -> "Told":
        """Read the environment."""
        env: dict[str, Any] = {name: os.environ[f"USUAL_{name.upper()}"] for name in cls.__slots__}
        return cls(**{**env, "gateway_port": int(env["gateway_port"])})

    def env(self) -> dict[str, str]:
        """Return it as an environment."""
        return {f"USUAL_{name.upper()}": str(getattr(self, name)) for name in self.__slots__}

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def place(self, name: str) -> Path:
        """Return the place of something in the folder."""
        return Path(self.folder) / name
