"""A private node's ports are its own, also while it is away; its log fits the machine."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from axis.broker import PrivateNode, private_node
from axis.broker.private_node import free_ports


def test_ports_are_none_that_the_system_gives_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "ip_local_port_range"
    given.write_text("20480\t60999\n", encoding="ascii")
    monkeypatch.setattr(private_node, "_GIVEN", given)
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert min(ports) >= 10_240
    assert max(ports) < 20_480


def test_port_is_drawn_by_one_process_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has drawn it does not listen on it yet."""
    draw = "import time; from axis.broker.private_node import free_ports; print(free_ports(1)[0], flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", draw], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            drawn = int(other.stdout.readline())
            draws = iter([drawn, drawn, drawn + 1])
            monkeypatch.setattr(secrets, "randbelow", lambda _most: next(draws) - 10_240)
            assert free_ports(1) == [drawn + 1]
        finally:
            other.kill()
    monkeypatch.setattr(secrets, "randbelow", lambda _most: drawn - 10_240)
    assert free_ports(1) == [drawn]


@pytest.mark.parametrize("told", [None, "", "1024 65535"])
def test_machine_that_says_nothing_useful_is_taken_for_a_usual_one(
    told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "ip_local_port_range"
    if told is not None:
        given.write_text(told, encoding="ascii")
    monkeypatch.setattr(private_node, "_GIVEN", given)
    assert all(10_240 <= port < 32_768 for port in free_ports(3))


@pytest.mark.parametrize(("gib", "mib"), [(1, 64), (4, 128), (24, 256)])
def test_log_of_the_queues_takes_a_small_part_of_the_memory(
    gib: int, mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib * 1024**3 // 4096}
    monkeypatch.setattr(os, "sysconf", told.__getitem__)
    assert private_node._log_bytes() == mib * 1024**2


def test_process_that_was_given_the_number_of_a_dead_node_is_no_node(tmp_path: Path) -> None:
    (tmp_path / "node.pid").write_text(str(os.getpid()), encoding="ascii")
    assert PrivateNode(tmp_path).pid is None
