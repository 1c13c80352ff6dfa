"""docs/: links lead somewhere, tables are those of the code, and what the code cites is there."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from axis.cli.main import root
from axis.edxml import catalogue
from axis.edxml.codes import STATUSES
from axis.errors import CATALOGUE, Actor
from axis.telemetry import events
from scripts import tables

REPOSITORY = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!\!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
_CITED = re.compile(r"\b((?:docs|config|schemas|scripts)/[\w./-]*\w)")
_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?axis (.+)$")


def _tracked(*patterns: str) -> list[Path]:
    """Return files of the repository, those not yet committed too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [REPOSITORY / name for name in listed.stdout.splitlines() if (REPOSITORY / name).exists()]


PAGES = _tracked("*.md")


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lost = []
    for link in _LINK.findall(_FENCE.sub("", text)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        is_there = target.exists() and (not anchor or anchor in _anchors(target.read_text(encoding="utf-8")))
        lost += [] if is_there else [link]
    assert lost == []


def test_tables_are_those_of_the_code() -> None:
    assert tables.main(["--check"]) == 0, "run make docs"


@pytest.mark.parametrize("name", sorted(tables.pages()))
def test_every_page_of_the_reference_says_something(name: str) -> None:
    assert len(tables.pages()[name].splitlines()) > 10


def _cited() -> Iterator[tuple[Path, str]]:
    for file in _tracked("axis/*.py", "adapters/*.py", "schemas/*.xsd", "config/*", "Makefile", "scripts/*"):
        for name in _CITED.findall(file.read_text(encoding="utf-8", errors="replace")):
            yield file, name


def test_what_the_code_cites_is_there() -> None:
    lost = []
    for file, name in _cited():
        if not ((REPOSITORY / name).exists() or list(REPOSITORY.glob(f"{name}-*.md"))):
            lost.append(f"{file.relative_to(REPOSITORY)}: {name}")
    assert lost == []


def _commands_shown() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.splitlines():
                found = _COMMAND.match(line.strip())
                if found:
                    yield str(page.relative_to(REPOSITORY)), found[1]
    for _, command in tables.leaf_commands():
        example = (command.help or "").partition("Example:")[2].strip()
        found = _COMMAND.match(" ".join(example.split()))
        if found:
            yield "--help", found[1]


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands_shown())))
def test_commands_that_pages_show_are_accepted(page: str, line: str) -> None:
    """Each names a command that exists and options that it has; whether the files are there is another matter."""
    words = shlex.split(line.split(" > ")[0])
    command: Any = typer.main.get_command(root())
    while words and (inner := getattr(command, "commands", {}).get(words[0])) is not None:
        command = inner
        words = words[1:]
    assert not hasattr(command, "commands"), f"no such command: axis {line}"
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert given <= known


def test_every_command_has_an_example() -> None:
    assert [name for name, command in tables.leaf_commands() if "Example: " not in (command.help or "")] == []


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_no_code_lacks_a_part(code: str) -> None:
    entry = CATALOGUE[code]
    assert re.fullmatch(r"[A-Z]{3,4}\.[A-Z0-9_]+", code)
    assert re.fullmatch(r"[245]\.[0-7]\.[0-9]{1,2}", entry.status)
    assert 400 <= entry.http <= 599 or (entry.http == 200 and entry.status.startswith("2"))
    assert entry.actor in Actor
    assert entry.vi.count("{detail}") == entry.en.count("{detail}") <= 1
    assert entry.vi != entry.en
    assert entry.kind == {"2": "done", "4": "transient", "5": "permanent"}[entry.status[0]]
    assert _is_in_both_languages(entry.next)


def _is_in_both_languages(text: str) -> bool:
    return len(text.split(" / ")) == 2 and all(len(half) > 5 for half in text.split(" / "))


@pytest.mark.parametrize("row", catalogue.rows(), ids=lambda row: str(row.code))
def test_errors_and_statuses_have_every_part_in_one_shape(row: catalogue.Row) -> None:
    said = row.as_dict()
    assert list(said) == ["code", "what", "class", "http", "status", "vi", "en", "who_must_act", "next", "needs_reason"]
    assert "" not in said.values()
    classes = {"error": ("done", "transient", "permanent"), "status": ("transport", "business", "order")}
    assert row.kind in classes[row.what]
    assert row.who_must_act in set(Actor)
    assert _is_in_both_languages(row.next)
    assert catalogue.find(row.code.lower()) == row


def test_statuses_are_those_of_the_standard() -> None:
    listed = [row.code for row in catalogue.rows() if row.what == "status"]
    assert listed == ["01", "02", "03", "04", "05", "06", "13", "15", "16"]
    assert [code for code, one in STATUSES.items() if one.needs_reason] == ["02", "13", "16"]


def _named() -> set[str]:
    """Return every code that the program names, or what looks like one."""
    families = {code.partition(".")[0] for code in CATALOGUE}
    looks = re.compile(rf"(?:{'|'.join(sorted(families))})\.[A-Z0-9_]+")
    named = set()
    for file in _tracked("axis/*.py", "adapters/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and looks.fullmatch(node.value):
                named.add((node.value, file.name))
    return {code for code, name in named if name != "errors.py"}


def test_catalogue_holds_the_codes_that_the_program_says_and_no_others() -> None:
    assert _named() == set(CATALOGUE)


def test_operations_explain_every_event_for_a_person() -> None:
    source = Path(events.__file__).read_text(encoding="utf-8")
    for_a_person = set(re.findall(r'_log\.error\(\s*"([a-z_.]+)"', source))
    page = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    assert for_a_person
    assert [name for name in sorted(for_a_person) if f"### {name}" not in page] == []


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in folder.glob("0*.md") if file.name not in index] == []


def test_promises_name_tests_that_exist() -> None:
    page = (REPOSITORY / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) >= 12
    lost = [
        f"{file}::{function}"
        for file, function in named
        if not (REPOSITORY / file).exists() or function not in (REPOSITORY / file).read_text(encoding="utf-8")
    ]
    assert lost == []
