"""`offices.toml`: one good roll, and every way in which a roll can be wrong."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from axis.edxml.dialects import DIALECTS, Policy
from axis.errors import PermanentError
from axis.registry import Channel, Finding, Registry, Standing, Status, check_offices, load_offices
from tests.province import AT, DAY, Province, province, rsa_key

SAMPLE = Path(__file__).parents[3] / "config" / "offices.toml"

TIERS = """
[tiers]
axis = { name = "Trục liên thông", rank = 0 }
department = { name = "Sở, ban, ngành", rank = 2 }
commune = { name = "Xã, phường", rank = 3 }

[[offices]]
code = "H56.TRUC"
name = "Trục (ví dụ)"
tier = "axis"
"""


def group(code: str, **more: str) -> str:
    lines = [f'\n[[groups]]\ncode = "{code}"\nname = "Nhóm mẫu (ví dụ)"']
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in more.items())]) + "\n"


def closed(code: str, *successors: str, **more: str) -> str:
    heirs = ", ".join(f'"{one}"' for one in successors)
    return office(code, status='"closed"', closed_on="2025-07-01", successors=f"[{heirs}]", **more)


def office(code: str, tier: str = "commune", **more: str) -> str:
    lines = [f'\n[[offices]]\ncode = "{code}"\nname = "UBND xã mẫu (ví dụ)"\ntier = "{tier}"']
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in more.items())]) + "\n"


@pytest.fixture
def write(tmp_path: Path) -> "Roll":
    return Roll(tmp_path / "offices.toml")


class Roll:
    """A roll on the disk, and what is found about it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, *parts: str) -> "Roll":
        self.path.write_text("".join(parts), encoding="utf-8")
        return self

    def certificate(self, name: str, pem: bytes) -> None:
        file = self.path.parent / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(pem)

    def errors(self) -> list[str]:
        return [f"{one.place}: {one.en}" for one in check_offices(self.path)[1] if one.is_error]

    def warnings(self) -> list[str]:
        """What is odd, but that there are no certificates."""
        found = check_offices(self.path, at=AT)[1]
        return [f"{one.place}: {one.en}" for one in found if not one.is_error and "has no certificate" not in one.en]


def pem(of: Province, organ_id: str) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in of.certificates[organ_id])


# --- the documented sample ----------------------------------------------------------


def test_sample_roll_has_no_error_and_only_lacks_certificates() -> None:
    roll, findings = check_offices(SAMPLE)
    assert roll is not None
    assert [found for found in findings if found.is_error or "has no certificate" not in found.en] == []


def test_sample_roll_holds_every_office_and_both_forms_lead_to_one() -> None:
    roll = load_offices(SAMPLE)
    assert set(roll.by_code) == {
        "H56.TRUC", "H56.VP", "H56.05", "H56.NR", "H56.112", "H56.113", "H56.199", "H56.900",
    }  # fmt: skip
    assert roll.find("000.12.31.H56") == roll.find("H56.112")
    assert roll.find("H56.112 ") is None
    assert (gone := roll.find("H56.900")) is not None
    assert (gone.status, gone.successors) == (Status.CLOSED, ("H56.112", "H56.113"))


# --- what is wrong ------------------------------------------------------------------


def test_roll_without_error_is_loaded_with_its_certificates(write: Roll) -> None:
    offices = Province()
    offices.register("H56.05")
    offices.register("H56.05")  # The next key, while the first one is still in use.
    write.certificate("certs/H56.05.pem", pem(offices, "H56.05"))
    write(TIERS, office("H56.05", "department"))
    roll = load_offices(write.path)
    assert len(roll.by_code["H56.05"].certificates) == 2
    trust = roll.trust((offices.ca,), ())
    assert len(trust.signers_of("H56.05")) == 2


def test_every_error_is_reported_at_once_with_its_place(write: Roll) -> None:
    write(
        "colour = 1\n",
        TIERS,
        office("H56.05", "ministry"),
        office("H56.05", parent='"H56.77"'),
        office("h56", status='"asleep"', colour='"red"'),
        '[[rules]]\nname = "a"\nallow = false\naddressee = "H56.78"\nbecause_vi = "a"\nbecause_en = "a"\n',
    )
    assert write.errors() == [
        "colour: Extra inputs are not permitted",
        "offices[1] H56.05: identifier H56.05 means more than one office",
        "offices[1] H56.05: tier ministry is not in [tiers]",
        "offices[2] H56.05: identifier H56.05 means more than one office",
        "offices[2] H56.05: parent H56.77 is not in the roll",
        "offices[3] h56: code: String should match pattern '^(?:"
        + write.errors()[5].split("'^(?:", 1)[1],  # The pattern itself stands in edxml.values.
        "offices[3] h56: status: Input should be 'active', 'suspended' or 'closed'",
        "offices[3] h56: colour: Extra inputs are not permitted",
        "rules[0] a: H56.78 is neither a tier nor an office",
    ]


def test_slip_is_said_in_vietnamese_too(write: Roll) -> None:
    write(TIERS, '[[offices]]\ncode = "H56.05"\ntier = "commune"\n')
    assert (
        Finding(True, "offices[1] H56.05", "name: thiếu mục này", "name: Field required")
        in check_offices(write.path)[1]
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((office("H56.05", code102='"000.00.05.H56"'), office("H56.06", aliases='["000.00.05.H56"]')),
         ["offices[1] H56.05: identifier 000.00.05.H56 means more than one office",
          "offices[2] H56.06: identifier 000.00.05.H56 means more than one office"]),
        ((office("H56.05", parent='"H56.06"'), office("H56.06", parent='"H56.05"')),
         ["offices[1] H56.05: is its own ancestor", "offices[2] H56.06: is its own ancestor"]),
        ((office("H56.05", parent='"H56.05"'),), ["offices[1] H56.05: is its own ancestor"]),
        ((office("H56.05", parent='"000.00.06.H56"'), office("H56.06", code102='"000.00.06.H56"')),
         ["offices[1] H56.05: parent 000.00.06.H56: write H56.06"]),
        ((office("H56.05", status='"closed"', closed_on="2025-07-01", successors='["H56.77"]'),),
         ["offices[1] H56.05: successor H56.77 is not in the roll"]),
        ((office("H56.05", status='"closed"', closed_on="2025-07-01", successors='["H56.05"]'),),
         ["offices[1] H56.05: is its own successor"]),
        ((office("H56.05", opened_on="2026-07-01", closed_on="2025-07-01"),),
         ["offices[1] H56.05: closed_on is before opened_on"]),
        ((office("H56.05", certificates='["certs/none.pem"]'),),
         ["offices[1] H56.05: cannot read certs/none.pem: No such file or directory"]),
        (('[[rules]]\nname = "a"\nallow = true\n[[rules]]\nname = "a"\nallow = true\n',),
         ["rules[0] a: the name of the rule occurs twice", "rules[1] a: the name of the rule occurs twice"]),
    ],
)  # fmt: skip
def test_error_across_the_file_is_found(write: Roll, parts: tuple[str, ...], expected: list[str]) -> None:
    write(TIERS, *parts)
    assert write.errors() == expected


FORWARD = {"after_closing": '"forward"'}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((closed("H56.05", "H56.06", "H56.07", **FORWARD), office("H56.06"), office("H56.07")),
         ["offices[1] H56.05: forwards to whom? It needs exactly one of successors, or forward_to that names them"]),
        ((closed("H56.05", "H56.06", forward_to='["H56.07"]', **FORWARD), office("H56.06"), office("H56.07")),
         ["offices[1] H56.05: forward_to H56.07 is not among its successors"]),
        ((closed("H56.05", "H56.06", forward_to='["H56.06"]'), office("H56.06")),
         ['offices[1] H56.05: has forward_to, but after_closing is not "forward"']),
        ((closed("H56.05", "H56.06", **FORWARD), closed("H56.06", "H56.05", **FORWARD)),
         ["offices[1] H56.05: its mail would be forwarded back to it",
          "offices[2] H56.06: its mail would be forwarded back to it"]),
        ((office("H56.05", after_closing='"keep"'),),
         ["offices[1] H56.05: after_closing: Input should be 'reject', 'forward' or 'hold'"]),
        ((office("H56.05", unit_code='"14758A"'),),
         ["offices[1] H56.05: unit_code: String should match pattern '^[0-9]{2,5}$'"]),
    ],
)  # fmt: skip
def test_forwarding_that_leads_nowhere_is_an_error(write: Roll, parts: tuple[str, ...], expected: list[str]) -> None:
    write(TIERS, *parts)
    assert write.errors() == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((group("H56.05", tier='"commune"'),), ["groups[0] H56.05: identifier H56.05 is taken"]),
        ((group("H56.G", tier='"commune"'), group("H56.G", tier='"commune"')),
         ["groups[0] H56.G: identifier H56.G is taken", "groups[1] H56.G: identifier H56.G is taken"]),
        ((group("H56.G", members='["H56.77", "000.00.05.H56"]'),),
         ["groups[0] H56.G: member H56.77 is not in the roll",
          "groups[0] H56.G: member 000.00.05.H56: write H56.05"]),
        ((group("H56.G", tier='"army"', parent='"H56.78"'),),
         ["groups[0] H56.G: tier army is not in [tiers]", "groups[0] H56.G: parent H56.78 is not in the roll"]),
        ((group("H56.G", tier='"commune"', colour='"red"'),),
         ["groups[0] H56.G: colour: Extra inputs are not permitted"]),
        (('[[rules]]\nname = "a"\nallow = true\nsender = "H56.G"\n', group("H56.G", tier='"commune"')),
         ["rules[0] a: H56.G is neither a tier nor an office"]),  # A group sends nothing.
    ],
)  # fmt: skip
def test_error_of_a_group_is_found(write: Roll, parts: tuple[str, ...], expected: list[str]) -> None:
    write(TIERS, office("H56.05", code102='"000.00.05.H56"'), *parts)
    assert write.errors() == expected


def test_groups_and_policies_are_read(write: Roll) -> None:
    write(
        TIERS,
        office("H56.05", fields='["health"]', unit_code='"14758"'),
        closed("H56.06", "H56.05", **FORWARD),
        group("H56.G", field='"health"', members='["H56.05"]'),
        '[[rules]]\nname = "a"\nallow = true\naddressee = "H56.G"\n',
    )
    roll = load_offices(write.path)
    assert [one.code for one in roll.members(roll.groups["H56.G"])] == ["H56.05"]
    assert (roll.by_code["H56.05"].unit_code, roll.by_code["H56.06"].heirs) == ("14758", ("H56.05",))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dialect": '"telex"'},
         ["offices[1] H56.05: dialect: Input should be 'sdk', 'sample', 'dotnet', 'edoc', 'soap', 'swa' or 'go'"]),
        ({"dialect": '"edoc"', "unsigned": '"maybe"'},
         ["offices[1] H56.05: unsigned: Input should be 'refuse' or 'accept'"]),
        ({"unsigned": '"accept"'}, ['offices[1] H56.05: has unsigned = "accept", but states no dialect']),
    ],
)  # fmt: skip
def test_policy_for_an_older_system_must_mean_something(
    write: Roll, fields: dict[str, str], expected: list[str]
) -> None:
    write(TIERS, office("H56.05", **fields))
    assert write.errors() == expected


def test_policy_for_an_older_system_is_read_kept_and_told_to_nobody(write: Roll) -> None:
    write(
        TIERS,
        office("H56.05", dialect='"edoc"', unsigned='"accept"'),
        office("H56.06", dialect='"go"'),
        office("H56.07"),
    )
    roll = Registry.from_rows(load_offices(write.path).to_rows())
    policies = [roll.by_code[code].policy for code in ("H56.05", "H56.06", "H56.07")]
    assert policies == [Policy(DIALECTS["edoc"], takes_unsigned=True), Policy(DIALECTS["go"]), None]
    assert "dialect" not in roll.known["H56.05"]
    _, found = check_offices(write.path)
    assert [one.place for one in found if "unverified" in one.en] == ["offices[1] H56.05"]


def test_group_has_no_more_offices_than_a_message_may_have_addressees(write: Roll) -> None:
    write(TIERS, *(office(f"H56.{number}") for number in range(1000, 6001)), group("H56.G", tier='"commune"'))
    assert write.errors() == ["groups[0] H56.G: has 5001 offices, at most 5000"]


def test_office_with_a_slip_is_still_known_to_the_others(write: Roll) -> None:
    write(TIERS, office("H56.05", tier="commune", status='"asleep"'), office("H56.06", parent='"H56.05"'))
    assert write.errors() == ["offices[1] H56.05: status: Input should be 'active', 'suspended' or 'closed'"]


def test_rule_may_name_an_office_in_any_of_its_forms(write: Roll) -> None:
    rule = '[[rules]]\nname = "a"\nallow = true\nsender = "000.00.05.H56"\naddressee = "department"\n'
    write(TIERS, office("H56.05", code102='"000.00.05.H56"'), rule)
    assert write.errors() == []


def test_one_certificate_of_two_offices_is_an_error(write: Roll) -> None:
    offices = Province()
    offices.register("H56.05")
    write.certificate("shared.pem", pem(offices, "H56.05"))
    both = {"certificates": '["shared.pem"]'}
    write(TIERS, office("H56.05", **both), office("H56.06", **both))
    assert write.errors() == [
        "offices[1] H56.05: shares a certificate with H56.06",
        "offices[2] H56.06: shares a certificate with H56.05",
    ]


@pytest.mark.parametrize(
    "content", [b"\xff not a certificate", pem(province("H56.05"), "H56.05") + b"-----BEGIN CERT"], ids=["alien", "cut"]
)
def test_certificate_file_with_something_else_is_an_error(write: Roll, content: bytes) -> None:
    write.certificate("certs/H56.05.pem", content)
    write(TIERS, office("H56.05"))
    assert write.errors() == ["offices[1] H56.05: certs/H56.05.pem is not a certificate in PEM form, or not whole"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[tiers\n", "offices.toml: is not TOML: "),
        (b"\xff\xfe", "offices.toml: is not TOML: "),
        (b"", "tiers: Field required"),
        (b"tiers = 1\noffices = 2\n", "tiers: Input should be a valid dictionary"),
    ],
)
def test_file_that_is_no_roll_is_an_error(write: Roll, content: bytes, expected: str) -> None:
    write.path.write_bytes(content)
    roll, findings = check_offices(write.path)
    assert roll is None
    assert f"{findings[0].place}: {findings[0].en}".startswith(expected)


def test_absent_file_is_an_error_and_names_no_folder(write: Roll) -> None:
    assert write.errors() == ["offices.toml: cannot be read: No such file or directory"]


def test_roll_with_errors_is_not_loaded_and_all_are_named(write: Roll) -> None:
    write(TIERS, office("H56.05", "ministry"), office("H56.06", "army"))
    with pytest.raises(PermanentError, match=r"tier ministry is not in \[tiers\]; .*tier army") as refused:
        load_offices(write.path)
    assert refused.value.code == "CFG.INVALID"


# --- what is odd --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((office("H56.05", status='"closed"'),), ["offices[1] H56.05: is closed without closed_on"]),
        ((office("H56.05", successors='["H56.06"]'), office("H56.06")),
         ["offices[1] H56.05: has successors but is not closed and has no closed_on"]),
        ((office("H56.05", status='"closed"', closed_on="2025-07-01", successors='["H56.06"]'),
          office("H56.06", status='"closed"', closed_on="2025-07-01")),
         ["offices[1] H56.05: its successor H56.06 is closed"]),
        ((closed("H56.05", after_closing='"hold"'),),
         ["offices[1] H56.05: holds mail that can only be returned: it has no successors"]),
        ((closed("H56.05", "H56.06", after_closing='"hold"'), office("H56.06")), []),
        ((office("H56.05"), group("H56.G")), ["groups[0] H56.G: has no office: what is sent to it is refused"]),
        ((closed("H56.05"), group("H56.G", members='["H56.05"]')), ["groups[0] H56.G: its member H56.05 is closed"]),
        (('[[rules]]\nname = "a"\nallow = false\n',),
         ["rules[0] a: lacks because_vi or because_en: the originator is not told why"]),
    ],
)  # fmt: skip
def test_oddity_is_a_warning(write: Roll, parts: tuple[str, ...], expected: list[str]) -> None:
    write(TIERS, *parts)
    assert (write.errors(), write.warnings()) == ([], expected)


def test_roll_without_the_axis_is_odd(write: Roll) -> None:
    write('[tiers]\ncommune = { name = "Xã", rank = 1 }\n', office("H56.05"))
    assert write.warnings() == ["offices: no office is of tier axis"]


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        ((AT - 9 * DAY, AT - DAY), "none of its certificates is valid now: it cannot sign"),
        ((AT + DAY, AT + 90 * DAY), "none of its certificates is valid now: it cannot sign"),
        ((AT - DAY, AT + 9 * DAY), "its last certificate expires on 2026-09-10"),
    ],
)
def test_certificate_out_of_date_is_odd(write: Roll, lifetime: tuple[object, object], expected: str) -> None:
    offices = Province()
    offices.register("H56.05", not_before=lifetime[0], not_after=lifetime[1])
    write.certificate("certs/H56.05.pem", pem(offices, "H56.05"))
    write(TIERS, office("H56.05"))
    assert write.warnings() == [f"offices[1] H56.05: {expected}"]


def test_certificate_that_nobody_would_believe_is_odd(write: Roll) -> None:
    offices = Province()
    offices.register("H56.66", rsa_key(1024))
    write.certificate("certs/H56.05.pem", pem(offices, "H56.66"))
    write(TIERS, office("H56.05"))
    assert write.warnings() == [
        "offices[1] H56.05: a certificate was issued to H56.66",
        "offices[1] H56.05: The key is too weak: RSA 1024 bit",
    ]


# --- the value ----------------------------------------------------------------------


def test_rows_give_the_same_roll_back_with_the_same_version(write: Roll) -> None:
    offices = Province()
    offices.register("H56.05")
    write.certificate("certs/H56.05.pem", pem(offices, "H56.05"))
    rules = '[[rules]]\nname = "b"\nallow = true\n[[rules]]\nname = "a"\nallow = false\n'
    write(TIERS, office("H56.05", "department", opened_on="2020-01-01", aliases='["000.00.05.H56"]'), rules)
    roll = load_offices(write.path)
    again = Registry.from_rows(reversed(roll.to_rows()))
    assert again == roll
    assert again.version == roll.version
    assert [rule.name for rule in again.rules] == ["b", "a"]


def test_version_changes_with_the_content_and_not_with_the_order(write: Roll) -> None:
    first, second = office("H56.05"), office("H56.06")
    version = load_offices(write(TIERS, first, second).path).version
    assert load_offices(write(TIERS, second, first).path).version == version
    assert load_offices(write(TIERS, first).path).version != version


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Standing.ACTIVE),
        ({"opened_on": "2026-09-01"}, Standing.ACTIVE),
        ({"opened_on": "2026-09-02"}, Standing.NOT_OPEN),
        ({"closed_on": "2026-09-02"}, Standing.ACTIVE),
        ({"closed_on": "2026-09-01"}, Standing.CLOSED),
        ({"status": '"suspended"'}, Standing.SUSPENDED),
        ({"status": '"suspended"', "closed_on": "2026-09-01"}, Standing.CLOSED),
        ({"status": '"closed"'}, Standing.CLOSED),
    ],
)
def test_standing_follows_status_and_dates(write: Roll, more: dict[str, str], expected: Standing) -> None:
    roll = load_offices(write(TIERS, office("H56.05", **more)).path)
    assert roll.by_code["H56.05"].standing_on(AT.date()) is expected


def test_channel_is_kept_and_told_to_nobody(tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8").replace('# channel = "http"', 'channel = "http"')
    roll, findings = check_offices(SAMPLE, text=text)
    assert roll is not None, findings
    assert roll.by_code["H56.199"].channel is Channel.HTTP
    assert Registry.from_rows(roll.to_rows()) == roll
    assert "channel" not in roll.known["H56.199"]
    plain = load_offices(SAMPLE)
    assert plain.by_code["H56.199"].channel is Channel.AMQP
    assert all("channel" not in row["content"] for row in plain.to_rows())  # Old rolls stay as they were.
