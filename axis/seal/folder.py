"""Trust folder: where authorities, revocation lists, certificates and keys lie.

    ca.pem               the authorities, one or more certificates
    ca.key.pem           the CA's key; only where the CA is
    crl.pem              revocation lists
    certs/<OrganId>.pem  the certificates of an office, newest first
    keys/<OrganId>.key.pem  its key; only at that office, or where keys are made

Reading it is all this module does; `pki` writes it. A file that was cut off,
by a copy or a full disk, is not read for the part that it still has: nobody
would miss a revocation that is gone.

Limits: a file that was cut off between two of its blocks looks whole.
"""

import re
from pathlib import Path

from cryptography import x509

from axis.errors import PermanentError
from axis.seal.trust import Trust

AUTHORITIES = "ca.pem"
AUTHORITY_KEY = "ca.key.pem"
REVOCATIONS = "crl.pem"
CERTIFICATES = "certs"
KEYS = "keys"

_CRL_END = b"-----END X509 CRL-----"
_ENDS = re.compile(rb"-----END [A-Z0-9 ]+-----\s*\Z")


def load_authorities(
    folder: Path,
) -> tuple[tuple[x509.Certificate, ...], tuple[x509.CertificateRevocationList, ...]]:
    """Read the authorities and their revocation lists; a missing crl.pem is no list.

    Raises:
        PermanentError: CFG.INVALID
    """
    return load_certificates(folder / AUTHORITIES), load_crls(folder / REVOCATIONS)


def load_trust(folder: Path, *, require_fresh_crl: bool = False) -> Trust:
    """Read a whole trust folder, with each office known by the name of its certificate file.

    Raises:
        PermanentError: CFG.INVALID
    """
    authorities, crls = load_authorities(folder)
    signers = {path.stem: load_certificates(path) for path in sorted((folder / CERTIFICATES).glob("*.pem"))}
    return Trust(authorities, crls, signers, require_fresh_crl=require_fresh_crl)


def load_crls(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    """Read the revocation lists of a PEM file; () if there is no file.

    Raises:
        PermanentError: CFG.INVALID; among other reasons, it is empty or was cut off.
    """
    try:
        *lists, rest = path.read_bytes().split(_CRL_END)
        if not lists or rest.strip():
            raise ValueError("not whole: it must end with a revocation list; put it there again")
        return tuple(x509.load_pem_x509_crl(one.lstrip() + _CRL_END) for one in lists)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of a PEM file.

    Raises:
        PermanentError: CFG.INVALID; among other reasons, it is empty or was cut off.
    """
    try:
        return parse_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in PEM; a key may stand among them.

    Raises:
        ValueError: There is none, or one cannot be read, or the last block was cut off.
    """
    found = tuple(x509.load_pem_x509_certificates(pem))
    if _ENDS.search(pem) is None:  # What was cut off is passed over.
        raise ValueError("not whole: it must end where a certificate ends; put it there again")
    return found
