"""Finding: one thing about a roll that a person should know, in both languages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """An error keeps a roll from being loaded; a warning does not."""

    is_error: bool
    place: str  # e.g. "offices[3] H56.05".
    vi: str
    en: str

    @property
    def text(self) -> str:
        """Both languages, for a person."""
        return self.vi if self.vi == self.en else f"{self.vi} / {self.en}"


def error(place: str, vi: str, en: str) -> Finding:
    """Return a finding that keeps the roll from being loaded."""
    return Finding(True, place, vi, en)


def warning(place: str, vi: str, en: str) -> Finding:
    """Return a finding that only a person may want to act on."""
    return Finding(False, place, vi, en)
