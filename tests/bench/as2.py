"""AS2: what the commonest protocol for signed documents costs, by pyas2lib, in one process and without a line.

For each document: the originator builds and signs a message over the envelope
and its file, the addressee reads and verifies it and signs a disposition
notification (MDN), and the originator verifies that. All of it by the library,
from bytes to bytes. There is no transport, no ledger, no router between the
two, one receipt instead of three, and certificates are loaded but their chain
is not looked at. It is the yardstick for processor time.

Limits: pyas2lib signs with RSA alone; keys of 2,048 bits are the shortest that
are still issued. Its oscrypto finds no version in "OpenSSL 3.0.19", because it
expects one digit behind the last dot; it is told to take more.
"""

import json
import logging
import os
import re
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_WARMING = 5
_ONE_DIGIT, _DIGITS = r"\d\.\d\.\d[a-z]*", r"\d\.\d\.\d+[a-z]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class As2:
    """Documents of one process, one after the other."""

    documents: int
    document_bytes: int
    cpu_ms: dict[str, float]  # For each document, by step.
    per_cpu_second: float
    ratios: tuple[float, ...] = ()  # The chain's documents for each second of processor time, to AS2's; turn by turn.


def _library() -> Any:
    """Import pyas2lib, with an oscrypto that can read the version of today's OpenSSL."""
    search = re.search

    def search_any(pattern: Any, text: str, *more: Any) -> Any:
        wider = pattern.replace(_ONE_DIGIT, _DIGITS) if isinstance(pattern, str) else pattern
        return search(wider, text, *more)

    with mock.patch.object(re, "search", search_any):
        import oscrypto.asymmetric  # noqa: F401
    from pyas2lib import as2

    return as2


def _pair(name: str) -> tuple[bytes, bytes]:
    """Make a key and a certificate for it, PEM."""
    key, subject, now = rsa.generate_private_key(65537, 2048), _name(name), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.public_bytes(Encoding.PEM),
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Bench:
    """Two partners."""

    def __init__(self) -> None:
        self._as2 = _library()
        signs = {name: _pair(name) for name in ("originator", "addressee")}
        self._offices = {
            name: self._as2.Organization(name, sign_key=key + certificate, domain="example.vn")
            for name, (key, certificate) in signs.items()
        }
        self._partners = {
            name: self._as2.Partner(
                name,
                verify_cert=certificate,
                validate_certs=False,
                sign=True,
                digest_alg="sha256",
                mdn_mode="SYNC",
                mdn_digest_alg="sha256",
            )
            for name, (_, certificate) in signs.items()
        }
        self.used_s = {"built, signed": 0.0, "read, verified, MDN signed": 0.0, "MDN verified": 0.0}

    def carry(self, document: bytes) -> None:
        """Let one document go there, and its MDN come back.

        Raises:
            RuntimeError: Something did not verify, or is not what was sent.
        """
        began = time.process_time()
        sent = self._as2.Message(self._offices["originator"], self._partners["addressee"])
        sent.build(document, content_type="application/octet-stream")
        line = sent.headers_str + b"\r\n" + sent.content
        built = time.process_time()
        received, status, mdn = self._receive(line)
        back = mdn.headers_str + b"\r\n" + mdn.content
        verified = time.process_time()
        outcome = self._as2.Mdn().parse(back, lambda *_: sent)
        ended = time.process_time()
        if status != "processed" or outcome != ("processed", None) or received.content != document:
            raise RuntimeError(f"as2: {status}, {outcome}")
        for step, used in zip(self.used_s, (built - began, verified - built, ended - verified), strict=True):
            self.used_s[step] += used

    def _receive(self, line: bytes) -> tuple[Any, str, Any]:
        message = self._as2.Message()
        status, _, mdn = message.parse(line, self._offices.get, self._partners.get)
        return message, status, mdn

    def require_refusal(self, document: bytes) -> None:
        """Raise RuntimeError if a message with one other bit would be taken, or nothing was signed."""
        sent = self._as2.Message(self._offices["originator"], self._partners["addressee"])
        sent.build(document, content_type="application/octet-stream")
        line = bytearray(sent.headers_str + b"\r\n" + sent.content)
        line[line.index(document[-64:])] ^= 1
        logging.getLogger("pyas2lib").setLevel(logging.CRITICAL)  # It would be said at length that this one is bad.
        if self._receive(bytes(line))[1] == "processed":
            raise RuntimeError("as2: other bytes were taken for what was signed")


def _measure(documents: int, document_bytes: int) -> As2:
    bench = Bench()
    for _ in range(_WARMING):
        bench.carry(os.urandom(document_bytes))
    bench.require_refusal(os.urandom(document_bytes))
    bench.used_s = dict.fromkeys(bench.used_s, 0.0)
    for _ in range(documents):
        bench.carry(os.urandom(document_bytes))
    used_s = sum(bench.used_s.values())
    parts = {step: round(used * 1000 / documents, 2) for step, used in bench.used_s.items()}
    return As2(
        documents=documents,
        document_bytes=document_bytes,
        cpu_ms={**parts, "all": round(used_s * 1000 / documents, 2)},
        per_cpu_second=round(documents / used_s, 1),
    )


if __name__ == "__main__":
    row = _measure(int(sys.argv[2]), int(sys.argv[3]))
    Path(sys.argv[1]).write_text(json.dumps(asdict(row)), encoding="utf-8")
