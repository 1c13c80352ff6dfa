"""Certificates of the roll: the PEM files that it names, and what is odd about them.

What cannot be read is an error. What can be read and will not be believed when
a seal is checked is a warning here: the roll may be loaded, and the office
cannot sign.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from axis.errors import Refusal
from axis.registry.findings import Finding, error, warning
from axis.registry.model import Office
from axis.seal.folder import parse_certificates
from axis.seal.trust import common_name, require_strength

_SOON = timedelta(days=30)


def read_certificates(folder: Path, names: tuple[str, ...], place: str) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the certificates in files relative to the roll, as PEM, and the files that cannot be read."""
    pems: list[str] = []
    findings: list[Finding] = []
    for name in names:
        try:
            found = parse_certificates((folder / name).read_bytes())
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            findings.append(error(place, f"không đọc được {name}: {reason}", f"cannot read {name}: {reason}"))
        except ValueError:
            findings.append(
                error(
                    place,
                    f"{name} không phải chứng thư PEM, hoặc không trọn vẹn",
                    f"{name} is not a certificate in PEM form, or not whole",
                )
            )
        else:
            pems += [one.public_bytes(Encoding.PEM).decode() for one in found]
    return tuple(pems), findings


def odd_certificates(office: Office, place: str, at: datetime | None) -> Iterator[Finding]:
    """Say what is odd about the certificates of an office.

    Args:
        office: As read.
        place: Where it stands in the file.
        at: Now; None says nothing about validity.
    """
    certificates = [x509.load_pem_x509_certificate(pem.encode()) for pem in office.certificates]
    for one in certificates:
        subject = common_name(one)
        if subject not in office.forms:
            yield warning(
                place, f"chứng thư cấp cho {subject or '?'}", f"a certificate was issued to {subject or 'nobody'}"
            )
        try:
            require_strength(one)
        except Refusal as refusal:
            yield warning(place, refusal.violations[0].vi, refusal.violations[0].en)
    if at is None or not certificates:
        return
    valid = [one for one in certificates if one.not_valid_before_utc <= at <= one.not_valid_after_utc]
    if not valid:
        yield warning(
            place, "không có chứng thư nào còn hiệu lực", "none of its certificates is valid now: it cannot sign"
        )
        return
    last = max(one.not_valid_after_utc for one in certificates)
    if last - at < _SOON:
        day = last.date().isoformat()
        yield warning(place, f"chứng thư hết hạn ngày {day}", f"its last certificate expires on {day}")
