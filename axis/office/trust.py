"""Trust of an office: whose seals it believes, read anew when the folder changes.

With `offices.toml` in the folder every form of an identifier is known; without
it, an office is known by the name of its file in `certs/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from axis import registry, seal

_ROLL = "offices.toml"
_Stamp = tuple[tuple[str, int], ...]


@dataclass
class LiveTrust:
    """The trust of this moment."""

    folder: Path
    _trust: seal.Trust | None = field(default=None, init=False)
    _roll: registry.Registry | None = field(default=None, init=False)
    _stamp: _Stamp = field(default=(), init=False)

    def refresh(self) -> bool:
        """Take over what changed on disk; return whether anything did.

        Raises:
            PermanentError: CFG.INVALID; what was read before stays in force.
        """
        stamp = tuple(_changed(self.folder))
        if self._trust is not None and stamp == self._stamp:
            return False
        path = self.folder / _ROLL
        roll = registry.load_offices(path) if path.exists() else None
        if roll is None:
            trust = seal.load_trust(self.folder)
        else:
            authorities, crls = seal.load_authorities(self.folder)
            trust = roll.trust(authorities, crls)
        self._trust, self._roll, self._stamp = trust, roll, stamp
        return True

    @property
    def trust(self) -> seal.Trust:
        """Whose certificates are believed."""
        if self._trust is None:
            raise AssertionError("trust is refreshed before it is asked")
        return self._trust

    def canonical(self, organ_id: str) -> str:
        """Return the form of an identifier in which receipts name the office."""
        office = None if self._roll is None else self._roll.find(organ_id)
        return organ_id if office is None else office.code

    def forms(self, organ_id: str) -> frozenset[str]:
        """Return every form of an identifier that is known here."""
        office = None if self._roll is None else self._roll.find(organ_id)
        return frozenset({organ_id} if office is None else office.forms)

    def may_order(self, organ_id: str, originator: str) -> bool:
        """Tell whether an office may order about what another has sent: it is the same, or the roll names it as a successor.

        Args:
            organ_id: Who orders, in canonical form.
            originator: Who sent the document.
        """
        sent_by = self.canonical(originator)
        return sent_by == organ_id or (self._roll is not None and sent_by in self._roll.line_of(organ_id))

    def means_another(self, organ_id: str, than: str) -> bool:
        """Tell whether an identifier surely means another office: no group, no closed office that `than` took over from."""
        if organ_id in self.forms(than):
            return False
        office = None if self._roll is None else self._roll.find(organ_id)
        return self._roll is None or (office is not None and than not in map(self.canonical, office.successors))


def _changed(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted([*folder.glob("*.pem"), folder / _ROLL, *folder.glob("certs/*.pem")]):
        try:
            yield path.name, path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
