"""Replacement: what a new roll would change that must not change unseen.

Identifiers are for ever: an office that ends is closed, not removed, and its
codes never come to mean another office, because receipts and documents of
years ago still name it.

Spec: Decision 20/2020/QĐ-TTg (identifiers are unique and persistent).
"""

from collections.abc import Iterator

from axis.registry.findings import Finding, error, warning
from axis.registry.model import Registry


def check_replacement(old: Registry, new: Registry) -> tuple[Finding, ...]:
    """Return what is wrong or odd about putting one roll in the place of another."""
    return tuple(_findings(old, new))


def _findings(old: Registry, new: Registry) -> Iterator[Finding]:
    for office in old.offices():
        for form in office.forms:
            now = new.find(form)
            if now is not None and now.code != office.code:
                yield error(
                    form,
                    f"từng là mã của {office.code}, nay là mã của {now.code}",
                    f"meant {office.code} before and would mean {now.code}",
                )
        if new.find(office.code) is None:
            yield warning(
                office.code,
                "không còn trong danh sách; nên đóng (status = closed) thay vì xóa",
                'is no longer in the roll; close it (status = "closed") rather than remove it',
            )
