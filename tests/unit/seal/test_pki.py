"""The small certificate authority: keys are safe, certificates are good, lists only grow."""

import shutil
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from axis import seal
from axis.errors import PermanentError, Refusal
from axis.seal import pki
from tests.province import AT, DAY, DOCUMENT, name_of, rsa_key, verify

NAME = "Sở Khoa học và Công nghệ (ví dụ)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.init(tmp_path / "trust", name="CA tỉnh (ví dụ)", now=AT)
    return tmp_path / "trust"


def _seal(folder: Path, organ_id: str = "H56.05") -> bytes:
    signer = seal.SigningKey.load(folder / f"keys/{organ_id}.key.pem", folder / f"certs/{organ_id}.pem")
    return seal.seal(DOCUMENT.encode(), signer)


def _crl(folder: Path) -> x509.CertificateRevocationList:
    return seal.load_authorities(folder)[1][0]


def _number(folder: Path) -> int:
    return _crl(folder).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_issued_key_seals_what_the_folder_trusts(folder: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    trust = seal.load_trust(folder, require_fresh_crl=True)
    assert verify(_seal(folder), trust).message.originator.organ_id == "H56.05"


def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT)
    assert issued.key_path is not None
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder / "ca.key.pem", issued.key_path, folder / "keys")]
    assert modes == [0o600, 0o600, 0o700]


def test_certificate_names_the_office(folder: Path) -> None:
    made = pki.issue(folder, "H56.05", name=NAME, now=AT).certificate
    assert made.subject.rfc4514_string() == f"CN=H56.05,O={NAME},C=VN"
    assert made.not_valid_after_utc == AT + pki.OFFICE_LIFETIME


def test_certificate_ends_with_its_authority(folder: Path) -> None:
    made = pki.issue(folder, "H56.05", name=NAME, now=AT, lifetime=timedelta(days=9000)).certificate
    assert made.not_valid_after_utc == seal.load_authorities(folder)[0][0].not_valid_after_utc


def test_serials_are_random(folder: Path) -> None:
    serials = {pki.issue(folder, f"H56.{number}", name=NAME, now=AT).certificate.serial_number for number in range(5)}
    assert len(serials) == 5
    assert all(serial.bit_length() > 100 for serial in serials)


def test_authority_is_made_once(folder: Path) -> None:
    before = (folder / "ca.key.pem").read_bytes()
    with pytest.raises(PermanentError):
        pki.init(folder, name="CA", now=AT)
    (folder / "ca.pem").unlink()
    with pytest.raises(PermanentError):
        pki.init(folder, name="CA", now=AT)
    assert (folder / "ca.key.pem").read_bytes() == before


def test_key_is_never_overwritten(folder: Path) -> None:
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT)
    assert issued.key_path is not None
    before = issued.key_path.read_bytes(), issued.certificate_path.read_bytes()
    with pytest.raises(PermanentError):
        pki.issue(folder, "H56.05", name=NAME, now=AT)
    assert (issued.key_path.read_bytes(), issued.certificate_path.read_bytes()) == before


def test_successor_key_stands_beside_the_old_one(folder: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    old = _seal(folder)
    new_key = folder / "keys/H56.05.2027.key.pem"
    pki.issue(folder, "H56.05", name=NAME, now=AT + DAY, key_path=new_key)
    new = seal.seal(DOCUMENT.encode(), seal.SigningKey.load(new_key, folder / "certs/H56.05.pem"))
    trust = seal.load_trust(folder)
    assert verify(old, trust, AT + DAY).signer != verify(new, trust, AT + DAY).signer


def test_request_brings_only_its_key(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(name_of("H56.VP")).sign(key, hashes.SHA256())
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT, request=request.public_bytes(Encoding.PEM))
    assert issued.key_path is None
    assert issued.certificate.public_key() == key.public_key()
    assert "H56.VP" not in issued.certificate.subject.rfc4514_string()
    assert not list((folder / "keys").iterdir())


def test_request_that_is_not_its_senders_is_refused(folder: Path) -> None:
    weak = x509.CertificateSigningRequestBuilder(name_of("x")).sign(rsa_key(1024), hashes.SHA256())
    good = x509.CertificateSigningRequestBuilder(name_of("x")).sign(rsa_key(), hashes.SHA256())
    octets = bytearray(good.public_bytes(Encoding.DER))
    octets[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(octets)).public_bytes(Encoding.PEM)
    for request in (weak.public_bytes(Encoding.PEM), broken, b"x"):
        with pytest.raises(PermanentError):
            pki.issue(folder, "H56.05", name=NAME, now=AT, request=request)
    assert not list((folder / "certs").iterdir())


@pytest.mark.parametrize("organ_id", ["../H56.05", "", "H56.05/x", "h56", "H56.05\n"])
def test_only_organ_ids_become_file_names(folder: Path, organ_id: str) -> None:
    with pytest.raises(PermanentError):
        pki.issue(folder, organ_id, name=NAME, now=AT)


def test_revoked_certificate_is_believed_no_more(folder: Path) -> None:
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT)
    assert pki.revoke(folder, "H56.05", now=AT + DAY).serials == (issued.certificate.serial_number,)
    trust = seal.load_trust(folder)
    assert verify(_seal(folder), trust, AT)
    with pytest.raises(Refusal) as caught:
        verify(_seal(folder), trust, AT + 2 * DAY)
    assert caught.value.code == "KEY.REVOKED"


def test_compromised_key_is_believed_only_before(folder: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    pki.revoke(folder, "H56.05", now=AT + 3 * DAY, reason=x509.ReasonFlags.key_compromise, invalid_from=AT + DAY)
    trust = seal.load_trust(folder)
    assert verify(_seal(folder), trust, AT)
    with pytest.raises(Refusal):
        verify(_seal(folder), trust, AT + 2 * DAY)


def test_revocation_by_serial_leaves_the_successor(folder: Path) -> None:
    old = pki.issue(folder, "H56.05", name=NAME, now=AT).certificate
    pki.issue(folder, "H56.05", name=NAME, now=AT, key_path=folder / "keys/new.key.pem")
    assert pki.revoke(folder, f"{old.serial_number:x}", now=AT).serials == (old.serial_number,)
    assert [entry.serial_number for entry in _crl(folder)] == [old.serial_number]


def test_lists_have_rising_numbers_and_forget_nothing(folder: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    pki.issue(folder, "H56.112", name=NAME, now=AT)
    numbers = [_number(folder)]
    pki.revoke(folder, "H56.05", now=AT)
    numbers.append(_number(folder))
    pki.revoke(folder, "H56.112", now=AT, reason=x509.ReasonFlags.superseded)
    numbers.append(_number(folder))
    pki.renew_crl(folder, now=AT + DAY)
    numbers.append(_number(folder))
    assert numbers == [1, 2, 3, 4]
    assert len(list(_crl(folder))) == 2
    assert _crl(folder).next_update_utc == AT + DAY + pki.CRL_LIFETIME


def test_nothing_is_revoked_twice(folder: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    pki.revoke(folder, "H56.05", now=AT)
    for which in ("H56.05", "H56.900", "zz"):
        with pytest.raises(PermanentError):
            pki.revoke(folder, which, now=AT)


@pytest.mark.parametrize("which", ["E12", "H56.900", "zz", "0", "-5", "f" * 50])
def test_what_names_no_certificate_is_refused(folder: Path, which: str) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    before = (folder / "crl.pem").read_bytes()
    with pytest.raises(PermanentError) as caught:
        pki.revoke(folder, which, now=AT)
    assert (caught.value.code, which in str(caught.value)) == ("CFG.INVALID", True)
    assert (folder / "crl.pem").read_bytes() == before


def test_certificate_whose_file_is_gone_is_revoked_by_its_serial(folder: Path) -> None:
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT)
    issued.certificate_path.unlink()
    serial = issued.certificate.serial_number
    assert pki.revoke(folder, f"{serial:x}", now=AT, unknown_serial=True).serials == (serial,)
    assert [entry.serial_number for entry in _crl(folder)] == [serial]
    for which in ("0", "-5", "f" * 50, "zz"):
        with pytest.raises(PermanentError):
            pki.revoke(folder, which, now=AT, unknown_serial=True)


# --- where there is another authority ----------------------------------------------------------


@pytest.fixture(params=["CA khác (ví dụ)", "CA tỉnh (ví dụ)"], ids=["another name", "the same name"])
def theirs(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Another authority, whose certificate and list, with a revocation, have come into the folder of ours."""
    other = tmp_path / "other"
    pki.init(other, name=request.param, now=AT)
    for _ in range(4):
        pki.renew_crl(other, now=AT)
    pki.issue(other, "H56.112", name=NAME, now=AT)
    pki.revoke(other, "H56.112", now=AT)
    shutil.copy(other / "certs/H56.112.pem", folder / "certs")
    for name in ("ca.pem", "crl.pem"):
        (folder / name).write_bytes((other / name).read_bytes() + (folder / name).read_bytes())
    return other


def _is_revoked(folder: Path, organ_id: str) -> bool:
    trust = seal.load_trust(folder, require_fresh_crl=True)
    try:
        trust.require(trust.signers_of(organ_id)[0], at=AT + DAY)
    except Refusal as refusal:
        return refusal.code == "KEY.REVOKED"
    return False


def test_lists_of_others_are_kept_as_they_are(folder: Path, theirs: Path) -> None:
    pki.issue(folder, "H56.05", name=NAME, now=AT)
    for renewed in (
        lambda: pki.renew_crl(folder, now=AT + DAY),
        lambda: pki.revoke(folder, "H56.05", now=AT + DAY),
        lambda: pki.renew_crl(folder, now=AT + DAY),
    ):
        renewed()
        assert (folder / "crl.pem").read_bytes().endswith((theirs / "crl.pem").read_bytes())
        assert _is_revoked(folder, "H56.112")
    ours, *others = seal.load_authorities(folder)[1]
    assert (len(list(ours)), len(others), _number(folder)) == (1, 1, 4)
    assert _is_revoked(folder, "H56.05")


def test_certificates_of_others_are_left_to_them(folder: Path, theirs: Path) -> None:
    (foreign,) = seal.load_certificates(theirs / "certs/H56.112.pem")
    for which in ("H56.112", f"{foreign.serial_number:x}"):
        with pytest.raises(PermanentError, match="authority"):
            pki.revoke(folder, which, now=AT)
    mine = pki.issue(folder, "H56.112", name=NAME, now=AT).certificate
    done = pki.revoke(folder, "H56.112", now=AT)
    assert (done.serials, done.left) == ((mine.serial_number,), (foreign.serial_number,))
    assert [entry.serial_number for entry in _crl(folder)] == [mine.serial_number]


# --- what is no authority ------------------------------------------------------------------------


def test_folder_without_authority_issues_nothing(tmp_path: Path) -> None:
    with pytest.raises(PermanentError):
        pki.issue(tmp_path, "H56.05", name=NAME, now=AT)


def test_key_of_another_authority_is_noticed(folder: Path, tmp_path: Path) -> None:
    pki.init(tmp_path / "other", name="CA khác (ví dụ)", now=AT)
    (tmp_path / "other/ca.key.pem").replace(folder / "ca.key.pem")
    with pytest.raises(PermanentError):
        pki.issue(folder, "H56.05", name=NAME, now=AT)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_believes_the_chain_and_the_list(folder: Path, tmp_path: Path) -> None:
    issued = pki.issue(folder, "H56.05", name=NAME, now=AT)
    both = tmp_path / "both.pem"

    def check() -> int:
        both.write_bytes((folder / "ca.pem").read_bytes() + (folder / "crl.pem").read_bytes())
        command = ["openssl", "verify", "-x509_strict", "-crl_check", "-attime", f"{(AT + DAY).timestamp():.0f}"]
        return subprocess.run(
            [*command, "-CAfile", str(both), str(issued.certificate_path)], capture_output=True, check=False
        ).returncode

    assert check() == 0
    pki.revoke(folder, "H56.05", now=AT)
    assert check() != 0
