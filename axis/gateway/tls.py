"""TLS: the certificate that the gateway shows, and the ones that it asks callers for.

OpenSSL sees to what must be known before a request can be read: that whoever
shows a certificate holds its key, and that one of the authorities has issued it.
Whether it has ended or been revoked, and whose it is, the desk judges with every
request, by the roll's trust and at the trust's time; then the answer has a code.

Renewed files are taken over for connections that are made from then on.

Spec: RFC 8446; docs/protocol/keys.md 6.1.
Limits: chains of one certificate, as everywhere in the axis.
"""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from axis import seal
from axis.errors import PermanentError
from axis.private import changed_ns

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name.


class Tls:
    """The gateway's side of TLS, as its files are now."""

    shown: x509.Certificate  # What the gateway shows.

    def __init__(self, certificate: Path, key: Path, authorities: Path | None) -> None:
        """Read the files.

        Args:
            certificate: What the gateway shows, with the certificates between it and its authority behind it.
            key: Its private key, without a passphrase.
            authorities: Whose client certificates are asked for; None: none is asked for.

        Raises:
            PermanentError: CFG.INVALID; a file cannot be used, or key and certificate do not belong together.
        """
        self._certificate, self._key, self._authorities = certificate, key, authorities
        self._stamp = self._changed()
        self._now = self._read()
        # A server has one context for its whole life; it hands each connection on to that of now.
        self.listening = self._now
        self.listening.sni_callback = self._hand_on

    def refresh(self) -> bool:
        """Take over what changed on disk; return whether anything did.

        Raises:
            PermanentError: CFG.INVALID; what was read before stays in force.
        """
        stamp = self._changed()
        if stamp == self._stamp:
            return False
        self._now, self._stamp = self._read(), stamp
        return True

    def _hand_on(self, connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        connection.context = self._now

    def _changed(self) -> tuple[int, ...]:
        files = (self._certificate, self._key, *([self._authorities] if self._authorities else []))
        return tuple(map(changed_ns, files))

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a passphrase of ours OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as error:
            raise PermanentError("CFG.INVALID", f"{self._certificate}, {self._key}: {error}") from error
        if self._authorities is not None:
            try:
                context.load_verify_locations(self._authorities)
            except OSError as error:
                raise PermanentError("CFG.INVALID", f"{self._authorities}: {error}") from error
            context.verify_mode = ssl.CERT_OPTIONAL
            context.verify_flags |= _NO_CHECK_TIME | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # Each is an anchor.
        self.shown = seal.load_certificates(self._certificate)[0]
        return context


def believing(certificate: Path) -> ssl.SSLContext:
    """Return what believes this one certificate, by whatever name it is reached: for who finds it on his own disk.

    Raises:
        PermanentError: CFG.INVALID
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=seal.load_certificates(certificate)[0].public_bytes(Encoding.DER))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context
