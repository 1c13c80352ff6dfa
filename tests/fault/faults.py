"""The faults: what is done to a trial, how often, and under which conditions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tests.fault.deeds import Deed, bits, broker, ledger, lines, load, points, processes, spool, time
from tests.fault.deeds.ledger import can_trace
from tests.fault.disks import can_mount
from tests.fault.partition import can_cut
from tests.fault.points import ACCEPTANCE, ACCEPTANCE_BY_HTTP, ATTEMPT, DISPATCH, ORDER, OTHER_ENDS, RECEIPT, SUBMISSION
from tests.fault.trial import ADDRESSEES, SENDER, Conditions


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    what: str
    deed: Deed
    times: int
    conditions: Conditions = field(default_factory=Conditions)
    pauses_s: tuple[float, float] = (0.1, 2.5)  # Before each time, somewhere between.
    # That `make fault` tries: 2 where chance decides which moment is hit, or whose, and a trial draws few of them.
    seeds: int = 1
    always: bool = False  # `make test` runs it too, with its first seed.
    needs: Callable[[], bool] = lambda: True  # What this machine must let us do.


# By priority: of what `points.GIVEN_UP` and `points.SHORT_LIVED` name, so long that it is done before, and that it is seen.
_LIVES = '["P5D", "PT60S", "P5D", "PT20S", "P5D"]'
_PG = Conditions(on_postgresql=True)
_THREE = Conditions(on_postgresql=True, routers=3, documents=200)
_CLUSTER = Conditions(cluster=True, restarted=True)
_PAGES = {"TRIAL_PAGES": "8000"}  # Files of 100 KB, which go along where a line allows it,
_FETCHED = {"TRIAL_PAGES": "20000"}  # and such as are too large for that.

FAULTS = {
    "F01": Fault(
        "router and gateway: kill -9", processes.kill_axis, 12, Conditions(documents=300), seeds=2, always=True
    ),
    "F02": Fault(
        "killed at every point of an acceptance, by AMQP",
        points.die_while_others_publish,
        1,
        Conditions(
            points=ACCEPTANCE,
            apart=True,
            restarted=True,
            documents=250,
            axis={"AXIS_ROUTER__BURST": "10", "AXIS_ROUTER__PER_SECOND": "4"},
        ),
    ),
    "F03": Fault(
        "killed at every point of a dispatch",
        points.die_while_an_office_sleeps,
        1,
        Conditions(points=DISPATCH, apart=True, restarted=True, documents=250),
    ),
    "F04": Fault(
        "an addressee's office: kill -9",
        processes.kill_addressee,
        30,
        Conditions(documents=400, may_be_asked_again=True),
        seeds=2,
    ),
    "F05": Fault(
        "killed at every point of an attempt",
        points.die_and_be_asked_again,
        1,
        Conditions(points=ATTEMPT, apart=True, restarted=True, documents=120, may_be_asked_again=True),
        always=True,
    ),
    "F06": Fault(
        "killed at every point of a receipt's way",
        points.die,
        1,
        Conditions(
            points=RECEIPT, apart=True, restarted=True, on_postgresql=True, documents=250, may_be_asked_again=True
        ),
    ),
    "F07": Fault("axis or addressee: frozen for seconds", processes.freeze, 4),
    "F08": Fault("everything but the sender: SIGTERM and start", processes.stop_in_order, 2),
    "F09": Fault("broker: kill -9", broker.kill, 2, always=True),
    "F10": Fault("broker: stopped and started in order", broker.restart, 2),
    "F11": Fault("cluster: the leader of a queue: kill -9", broker.kill_leader, 2, _CLUSTER),
    "F12": Fault("cluster: two of three: kill -9", broker.kill_majority, 1, _CLUSTER),
    "F13": Fault("cluster: all three: kill -9", broker.kill_all, 1, _CLUSTER),
    "F14": Fault("cluster: a leader cut off from the others", broker.part, 1, _CLUSTER, needs=can_cut),
    "F15": Fault("cluster: a leader that one cannot hear", broker.part_in_half, 1, _CLUSTER, needs=can_cut),
    "F16": Fault(
        "lines: cut at any byte", lines.cut_anywhere, 1, Conditions(lines=True, documents=200, office=_PAGES), seeds=2
    ),
    "F17": Fault("lines: a black hole", lines.go_dead, 1, Conditions(lines=True)),
    "F18": Fault("lines: thin and slow", lines.grow_thin, 1, Conditions(lines=True, office=_PAGES)),
    "F19": Fault("broker: memory alarm", broker.alarm_memory, 2),
    "F20": Fault("broker: disk alarm", broker.alarm_disk, 1),
    "F22": Fault(
        "ledger: disk full",
        ledger.fill_disk,
        3,
        Conditions(small={"book": 64 * 1024 * 1024}, axis={"AXIS_LEDGER_URL": "sqlite:///DATA/book/ledger.sqlite"}),
        needs=can_mount,
    ),
    "F23": Fault("ledger: writes and syncs fail", ledger.fail_to_write, 3, Conditions(documents=300), needs=can_trace),
    "F24": Fault("ledger: PostgreSQL killed with kill -9", ledger.kill, 3, _PG),
    "F25": Fault("ledger: a table locked for 40 seconds", ledger.lock, 1, _PG),
    "F26": Fault("spool: files gone, cut short, altered", spool.harm_files, 1, Conditions(office=_FETCHED)),
    "F27": Fault("clocks a day wrong, either way", time.jump, 3, Conditions(clocks=True, documents=300)),
    "F28": Fault(
        "certificates end while their offices work",
        time.end_certificates,
        1,
        Conditions(
            documents=400,
            lifetimes={ADDRESSEES[0]: timedelta(seconds=30), SENDER: timedelta(seconds=50)},
            may_end=frozenset({"rejected", "refused"}),
        ),
    ),
    "F29": Fault("keys renewed, of the axis and its offices", time.renew_keys, 1, Conditions(documents=200)),
    "F30": Fault("queues purged by an operator", broker.purge, 3, seeds=2),
    "F31": Fault("broker: a queue with other arguments", broker.drift, 1, Conditions(apart=True, documents=200)),
    "F32": Fault(
        "documents that crash, hang or eat memory",
        load.poison,
        1,
        Conditions(
            documents=80,
            restarted=True,
            may_be_asked_again=True,
            # An attempt must outlast the deaths of a process: on a busy machine each of them takes seconds.
            axis={"AXIS_DISPATCH__ANSWER_WITHIN": "PT1M"},
            office={"TRIAL_POISON": "1", "TRIAL_WORK_S": "0.2", "AXIS_OFFICE_ANSWER_WITHIN": "PT3S"},
        ),
    ),
    "F33": Fault(
        "an office away for four days, then for six",
        time.be_away,
        1,
        Conditions(documents=180, clocks=True, may_end=frozenset({"expired"})),
    ),
    "F35": Fault(
        "broker: waits 3 seconds for an ack, not 30 minutes",
        broker.time_out_consumers,
        1,
        Conditions(documents=60, office={"TRIAL_WORK_S": "5"}),
    ),
    "F36": Fault("axis or addressee: no descriptors left", processes.exhaust_descriptors, 4, seeds=2),
    "F37": Fault("broker: kill -9, under hundreds of readers", load.stampede, 1),
    "F38": Fault(
        "one of three routers, or axis up: kill -9", processes.kill_one_of_several, 12, _THREE, seeds=2, always=True
    ),
    "F39": Fault("ledger: lost, and taken back to a backup", ledger.restore_a_backup, 1, Conditions(documents=150)),
    "F41": Fault("bits turned over, in the ledger and the spool", bits.turn_over, 1),
    "F43": Fault("broker: queues too short, publishes nacked", broker.overflow, 2, seeds=2),
    "F44": Fault("a noisy addressee, and busy processors", load.be_noisy, 1, Conditions(documents=300)),
    "F45": Fault("hostile envelopes among others", load.be_hostile, 1),
    "F46": Fault("ledger: PostgreSQL read-only for seconds", ledger.forbid_writing, 2, _PG),
    "F47": Fault(
        "router or gateway, each by itself: kill -9",
        processes.kill_router_or_gateway,
        26,
        Conditions(apart=True, documents=350),
        seeds=2,
    ),
    "F48": Fault("the sender's office: kill -9", processes.kill_sender, 20, Conditions(documents=250)),
    "F49": Fault("a router and an office: zombies", processes.make_zombies, 1, _THREE),
    "F50": Fault("queues deleted by an operator", broker.delete, 2),
    "F51": Fault("broker: kill -9, and its store wiped", broker.wipe, 1),
    "F52": Fault("ledger: SQLite held by another process", ledger.hold_sqlite, 1),
    "F53": Fault(
        "spool: disk full",
        spool.fill_disk,
        3,
        Conditions(small=spool.SMALL, axis=spool.NOTHING_KEPT_FREE),
        needs=can_mount,
    ),
    "F54": Fault(
        "far more than can be taken",
        load.flood,
        1,
        Conditions(
            axis={"AXIS_ROUTER__BURST": "20", "AXIS_ROUTER__PER_SECOND": "5", "AXIS_GATEWAY__PER_OFFICE": "8"},
        ),
    ),
    "F55": Fault(
        "killed at every point of a submission",
        points.die,
        1,
        Conditions(points=SUBMISSION, apart=True, restarted=True, documents=200, office={"TRIAL_LARGE": "1"}),
    ),
    "F56": Fault(
        "killed at every point of an acceptance, by HTTP",
        points.die_while_others_post,
        1,
        Conditions(points=ACCEPTANCE_BY_HTTP, apart=True, restarted=True),
    ),
    "F57": Fault(
        "killed at every point of an order's way",
        points.die_while_others_recall,
        1,
        Conditions(
            points=ORDER,
            apart=True,
            restarted=True,
            may_be_asked_again=True,
            # Where a router dies with a message in its hand, nobody knows who has it, and who is never there never says.
            may_end=frozenset({"recalled", "expired"}),
            axis={"AXIS_DISPATCH__LIFETIMES": _LIVES},
        ),
    ),
    "F58": Fault(
        "killed where deliveries expire, are given up and handed on",
        points.die_while_deliveries_end_otherwise,
        1,
        Conditions(
            points=OTHER_ENDS,
            apart=True,
            restarted=True,
            may_end=frozenset({"expired"}),
            axis={"AXIS_DISPATCH__LIFETIMES": _LIVES},
        ),
    ),
}
