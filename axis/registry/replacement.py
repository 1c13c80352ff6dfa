"""Replacement: what a new roll would change that must not change unseen.

Identifiers are for ever: an office that ends is closed, not removed, and its
codes never come to mean another office, because receipts and documents of
years ago still name it.

Spec: Decision 20/2020/QĐ-TTg (identifiers are unique and persistent).
"""

from collections.abc import Iterator

from axis.registry.findings import Finding, error, warning
from axis.registry.model import Office, Registry, Status


def check_replacement(old: Registry, new: Registry) -> tuple[Finding, ...]:
    """Return what is wrong or odd about putting one roll in the place of another."""
    return tuple(_findings(old, new))


def _findings(old: Registry, new: Registry) -> Iterator[Finding]:
    meant, means = old.meanings(), new.meanings()
    for form in sorted(form for form, owner in meant.items() if means.get(form, owner) != owner):
        yield error(
            form,
            f"từng là mã của {meant[form]}, nay là mã của {means[form]}",
            f"meant {meant[form]} before and would mean {means[form]}",
        )
    for office in old.offices():
        now = new.by_code.get(office.code)
        if now is not None:
            yield from _revived(office, now)
        elif office.code not in means:
            yield warning(
                office.code,
                "không còn trong danh sách; nên đóng (status = closed) thay vì xóa",
                'is no longer in the roll; close it (status = "closed") rather than remove it',
            )


def _revived(before: Office, now: Office) -> Iterator[Finding]:
    """An office that was closed and takes part again: under another name, its code was given to another."""
    if before.status is not Status.CLOSED or now.status is Status.CLOSED:
        return
    if before.name != now.name:
        yield error(
            now.code,
            f"là mã của {before.name}, đã đóng; {now.name} phải có mã riêng",
            f"is the code of {before.name}, which is closed; {now.name} needs a code of its own",
        )
    else:
        yield warning(now.code, "đã đóng nay hoạt động lại", "was closed and takes part again")
