"""`axis pki` and `axis seal`, from an empty folder to a verified file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axis import clock, receipts, seal
from axis.cli import pki as pki_command
from axis.cli import seal as seal_command
from axis.edxml.values import PROFILE
from axis.seal import SigningKey
from tests.province import DOCUMENT, INLINE
from tests.unit.receipts.test_receipts import receipt

OFFICE = ["H56.05", "--name", "Sở Khoa học và Công nghệ (ví dụ)"]


def pki(*arguments: object) -> Result:
    return CliRunner().invoke(pki_command.app, [str(one) for one in arguments])


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(seal_command.app, [str(one) for one in arguments])


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    folder = tmp_path / "trust"
    assert pki("init", folder).exit_code == 0
    assert pki("issue", folder, *OFFICE).exit_code == 0
    return folder


def _sign(trust: Path, file: Path, to: Path) -> Result:
    return cli(
        "sign", file, "--key", trust / "keys/H56.05.key.pem", "--certificate", trust / "certs/H56.05.pem", "-o", to
    )


@pytest.fixture
def sealed(trust: Path, tmp_path: Path) -> Path:
    file = tmp_path / "125.edxml"
    file.write_text(DOCUMENT.replace("</edXML>\n", INLINE + "</edXML>"), encoding="utf-8")
    assert _sign(trust, file, tmp_path / "125.sealed.edxml").exit_code == 0
    return tmp_path / "125.sealed.edxml"


def test_sealed_file_with_its_attachments_is_verified(trust: Path, sealed: Path) -> None:
    answer = cli("verify", sealed, "--trust", trust, "--json")
    assert answer.exit_code == 0
    facts = json.loads(answer.stdout)
    assert (facts["holds"], facts["verified"]) == (True, True)
    assert (facts["kind"], facts["originator"], facts["parts"]) == (
        "document",
        "H56.05",
        ["header", "business", "manifest"],
    )
    assert cli("verify", sealed, "--trust", trust).exit_code == 0


def test_seal_of_the_notary_is_shown_as_nobody_elses_word(trust: Path, tmp_path: Path) -> None:
    assert pki("issue", trust, "H56.TRUC", "--name", "Trục (ví dụ)").exit_code == 0
    key = SigningKey.load(trust / "keys/H56.TRUC.key.pem", trust / "certs/H56.TRUC.pem")
    marked = DOCUMENT.replace(
        "<edXML:MessageHeader>",
        f'<edXML:MessageHeader xmlns:axp="{PROFILE}" axp:notary="H56.TRUC" axp:original="{"0" * 64}">',
    )
    file = tmp_path / "125.edxml"
    file.write_bytes(seal.seal(marked.encode(), key))
    facts = json.loads(cli("verify", file, "--trust", trust, "--json").stdout)
    assert (facts["holds"], facts["verified"]) == (True, False)
    assert (facts["notary"], facts["original"], facts["originator"]) == ("H56.TRUC", "0" * 64, "H56.05")
    assert "not verified" in " ".join(cli("verify", file, "--trust", trust).stdout.split())
    answer = cli("verify", file, "--trust", trust, "--json", "--axis", "H56.KHAC")  # Another axis says nothing here.
    assert [one["code"] for one in json.loads(answer.stdout)["violations"]] == ["SIG.NOTARY"]


def test_seal_goes_to_standard_output(trust: Path, sealed: Path, tmp_path: Path) -> None:
    key, certificate = trust / "keys/H56.05.key.pem", trust / "certs/H56.05.pem"
    answer = cli("sign", tmp_path / "125.edxml", "--key", key, "--certificate", certificate)
    assert answer.exit_code == 0
    assert answer.stdout_bytes.startswith(b"<?xml")
    assert b"</ds:Signature>" in answer.stdout_bytes


def test_changed_file_is_refused_with_the_reason(trust: Path, sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes().replace(b"H56.112", b"H56.113", 1))
    answer = cli("verify", sealed, "--trust", trust, "--json")
    assert answer.exit_code == 1
    assert [found["code"] for found in json.loads(answer.stdout)["violations"]] == ["SIG.DIGEST"]
    assert cli("verify", sealed, "--trust", trust).exit_code == 1


def test_sealed_file_is_not_sealed_again(trust: Path, sealed: Path, tmp_path: Path) -> None:
    assert _sign(trust, sealed, tmp_path / "again.edxml").exit_code == 1
    assert not (tmp_path / "again.edxml").exists()


def test_receipt_is_verified_as_one(trust: Path, tmp_path: Path) -> None:
    assert pki("issue", trust, "H56.112", "--name", "UBND phường Hàm Rồng (ví dụ)").exit_code == 0
    signer = seal.SigningKey.load(trust / "keys/H56.112.key.pem", trust / "certs/H56.112.pem")
    file = tmp_path / "receipt.xml"
    file.write_bytes(receipts.issue(receipt(at=clock.now()), signer).xml)
    facts = json.loads(cli("verify", file, "--trust", trust, "--json").stdout)
    assert (facts["kind"], facts["level"], facts["issuer"]) == ("receipt", "registered", "H56.112")


def test_roll_of_offices_decides_where_there_is_one(trust: Path, sealed: Path) -> None:
    (trust / "offices.toml").write_text(
        """
[tiers.department]
name = "Sở (ví dụ)"
rank = 1

[[offices]]
code = "H56.05"
code102 = "000.00.05.H56"
name = "Sở Khoa học và Công nghệ (ví dụ)"
tier = "department"
certificates = ["certs/H56.05.pem"]
""",
        encoding="utf-8",
    )
    answer = cli("verify", sealed, "--trust", trust)
    assert answer.exit_code == 0, answer.output


def test_revoked_office_is_refused(trust: Path, sealed: Path) -> None:
    revoked = pki(
        "revoke", trust, "H56.05", "--reason", "key-compromise", "--invalid-from", "2020-01-01T00:00:00Z", "--json"
    )
    assert revoked.exit_code == 0
    assert len(json.loads(revoked.stdout)["revoked"]) == 1
    answer = cli("verify", sealed, "--trust", trust, "--json")
    assert [found["code"] for found in json.loads(answer.stdout)["violations"]] == ["KEY.REVOKED"]


@pytest.mark.parametrize("which", ["E12", "-5"])
def test_revocation_of_what_nobody_has_is_wrong_use(trust: Path, which: str) -> None:
    assert pki("revoke", trust, "--", which).exit_code == 2
    assert json.loads(pki("crl", trust, "--json").stdout)["revoked"] == 0


def test_certificate_whose_file_is_gone_is_revoked_with_a_word_more(trust: Path) -> None:
    answer = json.loads(pki("revoke", trust, "E12", "--unknown-serial", "--json").stdout)
    assert (answer["revoked"], answer["of_other_authorities"]) == (["e12"], [])


def test_certificate_is_judged_at_the_time_asked_for(trust: Path, sealed: Path) -> None:
    answer = cli("verify", sealed, "--trust", trust, "--at", "2020-01-01T00:00:00Z", "--json")
    assert [found["code"] for found in json.loads(answer.stdout)["violations"]] == ["KEY.NOT_YET_VALID"]


def test_keys_are_not_overwritten(trust: Path) -> None:
    before = (trust / "keys/H56.05.key.pem").read_bytes(), (trust / "ca.key.pem").read_bytes()
    assert pki("issue", trust, *OFFICE).exit_code == 2
    assert pki("init", trust).exit_code == 2
    assert ((trust / "keys/H56.05.key.pem").read_bytes(), (trust / "ca.key.pem").read_bytes()) == before


def test_list_is_renewed(trust: Path) -> None:
    answer = pki("crl", trust, "--days", 3, "--json")
    assert json.loads(answer.stdout)["revoked"] == 0


def test_reasons_are_those_of_the_authority() -> None:
    from axis.seal.pki import REASONS

    assert {reason.value for reason in pki_command.Reason} == set(REASONS)
