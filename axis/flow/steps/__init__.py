"""Steps: the vocabulary of flows, one function each, in one table.

A step is a verb with its fields, both written down by its model; the function
does it on a stage. Whoever needs another step adds a model and a function to the
file of what it is about, and a row of VERBS: reading, checking, running and the
page docs/flows/README.md follow.

Spec: docs/flows/README.md.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from axis.flow.script import Step
from axis.flow.stage import Stage
from axis.flow.steps import arrivals, contents, hearing, http, offices, operations, sending
from axis.flow.steps.fields import OfOffice


@dataclass(frozen=True, slots=True)
class Verb:
    """A step that a flow may take."""

    name: str
    model: type[Step]
    act: Callable[[Stage, Any], Awaitable[None]]


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("send", sending.Send, sending.send),
        Verb("send again", sending.Again, sending.send_again),
        Verb("send bytes", sending.Raw, sending.send_raw),
        Verb("send status", sending.SendStatus, sending.send_status),
        Verb("answer", offices.Answer, offices.answer),
        Verb("answer orders", offices.Decide, offices.answer_orders),
        Verb("report", offices.Say, offices.report),
        Verb("office leaves", OfOffice, offices.leave),
        Verb("office comes back", OfOffice, offices.come_back),
        Verb("office is killed", OfOffice, offices.kill),
        Verb("axis stops", operations.Nothing, operations.stop_axis),
        Verb("axis starts", operations.Nothing, operations.start_axis),
        Verb("time passes", operations.Time, operations.pass_time),
        Verb("change roll", operations.Roll, operations.change_roll),
        Verb("revoke", OfOffice, operations.revoke),
        Verb("replay", operations.Replay, operations.replay),
        Verb("forward held", operations.Forward, operations.forward),
        Verb("return held", operations.Return, operations.give_back),
        Verb("expect accepted", hearing.Accepted, hearing.expect_accepted),
        Verb("expect rejected", hearing.Rejected, hearing.expect_rejected),
        Verb("expect delivery", hearing.Stands, hearing.expect_delivery),
        Verb("expect receipts", hearing.Heard, hearing.expect_receipts),
        Verb("expect register", arrivals.Registers, arrivals.expect_register),
        Verb("expect order", arrivals.Order, arrivals.expect_order),
        Verb("expect status", arrivals.StatusHeard, arrivals.expect_status),
        Verb("expect order handed over", arrivals.Ordered, arrivals.expect_order_handed),
        Verb("expect reminders", arrivals.Reminded, arrivals.expect_reminders),
        Verb("expect content", contents.Carried, contents.expect_content),
        Verb("expect dossier", contents.Dossier, contents.expect_dossier),
        Verb("expect task", contents.Task, contents.expect_task),
        Verb("expect answer", http.Call, http.call),
    )
}
