"""Trust: what is looked up, what is kept, and what a folder holds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from axis import seal
from axis.errors import PermanentError, Refusal, TransientError
from axis.seal.trust import fingerprint_of
from tests.province import AT, DAY, name_of, province, sealed, verify


def test_newest_certificate_is_tried_first() -> None:
    of = province("H56.05")
    of.register("H56.05", not_before=AT - DAY)
    newest_first = [signer.certificate for signer in of.trust().signers_of("H56.05")]
    assert newest_first == list(reversed(of.certificates["H56.05"]))


def test_office_is_known_under_every_name() -> None:
    of = province("H56.05")
    certificates = tuple(of.certificates["H56.05"])
    trust = seal.Trust((of.ca,), (), dict.fromkeys(("H56.05", "000.00.05.H56"), certificates))
    assert trust.signers_of("000.00.05.H56") == trust.signers_of("H56.05")


def test_wrong_name_of_the_same_office_is_no_wrong_signer() -> None:
    of = province("H56.05", "H56.112")
    trust = seal.Trust((of.ca,), (), {name: tuple(made) for name, made in of.certificates.items()})
    assert trust.owner_of(fingerprint_of(of.certificates["H56.112"][0])) == "H56.112"
    assert trust.owner_of("00") is None


def test_names_that_nobody_has_are_not_kept() -> None:
    trust = province().trust()
    assert [trust.signers_of(f"H56.{number}") for number in range(1000, 1003)] == [(), (), ()]
    assert not trust._signers


def test_chain_is_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = province()
    trust, envelope = of.trust(), sealed(of)
    verify(envelope, trust)
    examined = dict(trust._standings)
    verify(envelope, trust, AT + DAY)
    assert trust._standings == examined
    assert all(trust._standings[name] is standing for name, standing in examined.items())


def test_days_left_are_those_of_the_last_certificate() -> None:
    of = province("H56.05")
    of.register("H56.05", not_after=AT + 200 * DAY)
    pems = [made.public_bytes(Encoding.PEM).decode() for made in of.certificates["H56.05"]]
    assert seal.days_left(pems, AT) == pytest.approx(200)
    assert seal.days_left([], AT) == 0
    with pytest.raises(PermanentError):
        seal.days_left(["x"], AT)


def test_folder_without_a_list_is_read(tmp_path: Path) -> None:
    of = province("H56.05")
    (tmp_path / "certs").mkdir()
    (tmp_path / "ca.pem").write_bytes(of.ca.public_bytes(Encoding.PEM))
    (tmp_path / "certs/H56.05.pem").write_bytes(of.certificates["H56.05"][0].public_bytes(Encoding.PEM))
    trust = seal.load_trust(tmp_path)
    assert trust == of.trust()


def test_folder_with_several_lists_is_read(tmp_path: Path) -> None:
    of = province()
    lists = of.crl(), of.crl(number=2)
    (tmp_path / "ca.pem").write_bytes(of.ca.public_bytes(Encoding.PEM))
    (tmp_path / "crl.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in lists))
    assert seal.load_authorities(tmp_path) == ((of.ca,), lists)


@pytest.mark.parametrize("broken", ["ca.pem", "crl.pem"])
def test_broken_folder_is_refused(tmp_path: Path, broken: str) -> None:
    of = province()
    (tmp_path / "ca.pem").write_bytes(of.ca.public_bytes(Encoding.PEM))
    (tmp_path / broken).write_bytes(b"-----BEGIN X509 CRL-----\nAA\n-----END X509 CRL-----\n")
    with pytest.raises(PermanentError):
        seal.load_authorities(tmp_path)


_CUTS: dict[str, Callable[[bytes], int]] = {
    "nothing is left": lambda _whole: 0,
    "half of the first": lambda whole: len(whole) // 4,
    "half of the second": lambda whole: len(whole) * 3 // 4,
    "the last line": lambda whole: len(whole) - 8,
    "the beginning of the second": lambda whole: len(whole) // 2 + 5,
}


@pytest.mark.parametrize("name", ["ca.pem", "crl.pem", "certs/H56.05.pem"])
@pytest.mark.parametrize("cut", _CUTS)
def test_file_that_was_cut_off_is_refused_by_its_name(tmp_path: Path, name: str, cut: str) -> None:
    """What it still has would be believed, and what it revoked as well."""
    of = province("H56.05")
    (tmp_path / "certs").mkdir()
    (tmp_path / "ca.pem").write_bytes(of.ca.public_bytes(Encoding.PEM) * 2)
    (tmp_path / "crl.pem").write_bytes(of.crl().public_bytes(Encoding.PEM) * 2)
    (tmp_path / "certs/H56.05.pem").write_bytes(of.certificates["H56.05"][0].public_bytes(Encoding.PEM) * 2)
    assert len(seal.load_trust(tmp_path).crls) == 2
    os.truncate(tmp_path / name, _CUTS[cut]((tmp_path / name).read_bytes()))
    with pytest.raises(PermanentError, match=name) as caught:
        seal.load_trust(tmp_path)
    assert caught.value.code == "CFG.INVALID"


def test_blanks_and_text_before_a_block_are_passed_over(tmp_path: Path) -> None:
    of = province()
    for name, pem in {
        "ca.pem": of.ca.public_bytes(Encoding.PEM),
        "crl.pem": of.crl().public_bytes(Encoding.PEM),
    }.items():
        (tmp_path / name).write_bytes(b"CN=CA\n" + pem.rstrip() + b"\r\n\n")
    assert [len(found) for found in seal.load_authorities(tmp_path)] == [1, 1]


def test_something_else_behind_the_lists_is_refused(tmp_path: Path) -> None:
    of = province()
    (tmp_path / "ca.pem").write_bytes(of.ca.public_bytes(Encoding.PEM))
    (tmp_path / "crl.pem").write_bytes(of.crl().public_bytes(Encoding.PEM) + of.ca.public_bytes(Encoding.PEM))
    with pytest.raises(PermanentError, match="not whole"):
        seal.load_authorities(tmp_path)


def test_key_of_a_kind_that_the_profile_has_not_is_weak() -> None:
    of = province("H56.05")
    odd = of.certificate("H56.VP", Ed25519PrivateKey.generate())
    trust = seal.Trust((of.ca,), (), {"H56.VP": (odd,)})
    with pytest.raises(Refusal) as caught:
        trust.require(trust.signers_of("H56.VP")[0], at=AT)
    assert caught.value.code == "KEY.WEAK"


def test_list_with_a_critical_extension_is_not_used() -> None:
    """A list about some certificates only must not be taken for one about all."""
    of = province()
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=True,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    partial = (
        x509.CertificateRevocationListBuilder(name_of(of.ca_name), AT - DAY, AT + DAY)
        .add_extension(point, critical=True)
        .sign(of.ca_key, hashes.SHA256())
    )
    with pytest.raises(TransientError):
        verify(sealed(of), of.trust(partial, require_fresh_crl=True))
