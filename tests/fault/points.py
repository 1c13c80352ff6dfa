"""The points: where in the code a process dies, at each step of a document's way, and what that proves.

A trial goes through the points of a step in the order of its table; points of
different processes are gone through beside each other. Every one of them must
have been reached, and then everything must hold that holds after any trial.
A table follows the way of a document: what a row says is on a disk, is there
when the process dies, and what later rows say is not.
"""

from tests.fault.deaths import Point
from tests.fault.trial import ADDRESSEES, SENDER

_FEW = 4  # Calls that each serve all that is ready at the moment.
_LEFT, _RIGHT = ADDRESSEES

SUBMISSION = (
    # The originator's office, from its system's call to the broker's confirm.
    Point(SENDER, "before", "axis.office.state:State.submit", "sealed; in no state: its system has to ask again"),
    Point(SENDER, "after", "axis.office.state:State.submit", "in the state; its system does not know, and asks again"),
    Point(SENDER, "before", "axis.office.outbound:Outbound._send", "looked up; nothing has left"),
    Point(SENDER, "after", "axis.office.gateway:GatewayClient.upload", "its file is with the axis; not noted"),
    Point(SENDER, "before", "axis.office.state:State.uploaded", "a large file is with the axis; not noted", _FEW),
    Point(SENDER, "after", "axis.office.state:State.uploaded", "a large file is noted; nothing published", _FEW),
    Point(SENDER, "after", "axis.broker.carried:load", "its file is in the message; not published"),
    Point(SENDER, "before", "axis.office.state:State.tried", "confirmed by the broker; not noted"),
    Point(SENDER, "after", "axis.office.state:State.tried", "noted as published; its system may not have heard"),
    Point(SENDER, "after", "axis.office.state:State.ended", "answered; the answer is not acked"),
    # The gateway, from the first byte of a file to its answer.
    Point("gateway", "before", "axis.spool.store:_move_durably", "a small file is on the disk; it has no place"),
    Point("gateway", "after", "axis.spool.store:_put_durably", "a small file has its place; nobody is told"),
    Point("gateway", "after", "axis.spool.store:Spool.put", "a small file has its place; whose it is, is not on record"),
    Point("gateway", "after", "axis.spool.store:_write_all", "all of a large file has come; its end is not on the disk", _FEW),
    Point("gateway", "before", "axis.spool.store:_give_place", "a large file is on the disk and good; it has no place", _FEW),
    Point("gateway", "after", "axis.spool.store:_give_place", "a large file has its place; whose it is, is not on record", _FEW),
    Point("gateway", "before", "axis.ledger.book:Ledger.record_upload", "a file has its place; whose it is, is not on record"),
    Point("gateway", "after", "axis.ledger.book:Ledger.record_upload", "whose a file is, is on record; not answered"),
    Point("gateway", "after", "axis.gateway.files:Files._upload", "answered; the caller may not have heard"),
)  # fmt: skip

ACCEPTANCE = (
    Point("router", "after", "axis.ledger.custody:reject", "a refusal in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.reject", "refused on record; not acked", _FEW),
    Point("router", "after", "axis.intake.accept:Intake._examine", "judged; nothing is kept", _FEW),
    Point("router", "before", "axis.intake.accept:Intake._keep", "in order; the files that came along are nowhere else", _FEW),
    Point("router", "before", "axis.spool.store:_move_durably", "a file that came along is on the disk; it has no place", _FEW),
    Point("router", "after", "axis.intake.accept:Intake._keep", "the files that came along have their places; nothing else is kept", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.take_custody", "the acceptance is signed; nothing is kept", _FEW),
    Point("router", "after", "axis.ledger.custody:take", "written in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.take_custody", "in custody; nothing is published, nothing acked", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.notify_again", "handed out again and known; not told again", 1),
    Point("router", "after", "axis.ledger.book:Ledger.notify_again", "to be told again; not acked", 1),
    Point("router", "after", "axis.intake.accept:Intake._take_custody", "answered in the process; not acked"),
    Point("router", "after", "axis.router:Router._submitted", "everything is on record; not acked"),
    Point("router", "after", "axis.router:Router._put", "put behind others, in both queues; not acked"),
    Point("router", "before", "axis.broker.pipes:_Arrivals.settle", "a whole batch is on record; nothing of it acked", _FEW),
    Point("router", "after", "axis.broker.pipes:_Arrivals.settle", "acked; the ack may be lost with the process", _FEW),
)  # fmt: skip

ACCEPTANCE_BY_HTTP = (
    Point("gateway", "after", "axis.intake.accept:Intake.judge", "judged; the files inside have no place", _FEW),
    Point("gateway", "after", "axis.spool.store:Spool.commit", "a file from inside has its place; whose it is, is not on record", _FEW),
    Point("gateway", "after", "axis.ledger.book:Ledger.record_upload", "its files are on record; it is not", _FEW),
    Point("gateway", "before", "axis.ledger.book:Ledger.take_custody", "the acceptance is signed; nothing is kept", _FEW),
    Point("gateway", "after", "axis.ledger.custody:take", "written in a transaction that is not committed", _FEW),
    Point("gateway", "after", "axis.ledger.book:Ledger.take_custody", "in custody; not answered: the caller asks again", _FEW),
    Point("gateway", "after", "axis.intake.accept:Intake.accept", "in custody; the answer is made, and not sent", _FEW),
)  # fmt: skip

DISPATCH = (
    Point("router", "after", "axis.ledger.deliveries:begin_attempts", "attempts in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.dispatch.outbound:Outbound._begin", "attempts are on record and notices claimed; nothing has left", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.take_up_again", "a router starts, and has not taken up what the last one left", 1),
    Point("router", "after", "axis.ledger.book:Ledger.take_up_again", "what the last one left is due again; nothing has left", 1),
    Point("router", "before", "axis.dispatch.outbound:Outbound._publish", "on record as sent; not published"),
    Point("router", "after", "axis.dispatch.outbound:Outbound._publish", "confirmed by the broker; others of its round may not be"),
    Point("router", "after", "axis.dispatch.outbound:Outbound._send_attempts", "a round has left", _FEW),
    Point("router", "before", "axis.dispatch.outbound:Outbound._notify", "notices are claimed; not published", _FEW),
    Point("router", "after", "axis.dispatch.outbound:Outbound._notify", "notices are confirmed by the broker; not marked as sent", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.notices_sent", "all notices of a round are confirmed; not marked as sent", _FEW),
    Point("router", "after", "axis.ledger.deliveries:notices_sent", "marked as sent in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.notices_sent", "marked as sent", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.put_back", "nobody has answered, and the inbox is empty; on record as sent", 1),
    Point("router", "after", "axis.ledger.book:Ledger.put_back", "due again; not begun", 1),
)  # fmt: skip

ORDER = (
    # What a router does with an order: first what waits is taken back, then the order is let go to those who may have it.
    Point("router", "after", "axis.ledger.links:due", "claimed in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.links_due", "claimed; nothing is done", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.put_off_links", "its document is not here; still claimed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.put_off_links", "it waits for its document", _FEW),
    Point("router", "before", "axis.dispatch.orders:Orders._take_back", "its document is found; nothing is taken back", _FEW),
    Point("router", "after", "axis.broker.pipes:Broker.take_out", "a document is in no inbox of one office any more; on record as sent", _FEW),
    Point("router", "after", "axis.dispatch.orders:Orders._take_out", "all inboxes are searched", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.take_back", "one of several is taken back, with its receipt", _FEW),
    Point("router", "after", "axis.dispatch.orders:Orders._take_back", "all that waits is taken back; the order is not let go", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.end_order", "ended where there is nothing for it; not settled", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.settle_links", "acted on; on record as claimed", _FEW),
    Point("router", "after", "axis.ledger.links:settle", "let go in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.settle_links", "let go; not begun", _FEW),
    # What an office answers to it.
    Point(_LEFT, "after", "axis.office.attempt:Attempts._call_about_order", "its system has decided; our state does not say so: asked again", _FEW),
    Point(_LEFT, "before", "axis.office.state:State.keep_order", "the answer is signed, and what it gives up; in no state", _FEW),
    Point(_LEFT, "after", "axis.office.state:State.keep_order", "the answer is in the state with what it gives up; not published", _FEW),
    Point(_LEFT, "after", "axis.office.orders:Orders.settle", "the same, with other documents at work beside it", _FEW),
)  # fmt: skip

OTHER_ENDS = (
    # A delivery whose lifetime is over.
    Point("router", "before", "axis.dispatch.answers:Answers.expire", "its lifetime is over; it waits", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.expire", "expired on record, with its receipt; nobody is told", _FEW),
    # A message that the broker has given up.
    Point("router", "before", "axis.router:Router._buried", "in `axis.dead`; on record as sent", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.bury", "kept as given up; the delivery is no dead letter; not acked", _FEW),
    Point("router", "before", "axis.dispatch.answers:Answers.give_up", "the same, with the delivery in hand", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.give_up", "a dead letter, with its receipt; not acked", _FEW),
    Point("router", "after", "axis.router:Router._buried", "the same; its batch is not acked", _FEW),
    # What is held for a closed office, when the roll says who gets it.
    Point("router", "before", "axis.dispatch.succession:Succession._hand_on", "its heir is known; it is held", _FEW),
    Point("router", "before", "axis.dispatch.answers:Answers.forward", "the same, judged for its heir", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.forward", "handed on, with its receipt; the heir's delivery is not begun", _FEW),
    Point("router", "after", "axis.dispatch.succession:Succession.go_round", "the same, of all that was held", 1),
)  # fmt: skip

ATTEMPT = (
    # Two offices, so that no envelope sees more deaths than it may. To the first they come around its system's answer, ...
    Point(_LEFT, "after", "axis.office.state:State.begin", "an attempt is on record; its system was not asked"),
    Point(_LEFT, "before", "axis.office.attempt:Attempts._call", "the document is ready; its system was not asked"),
    Point(_LEFT, "after", "axis.office.document:Attachment.read", "its system is at work on it"),
    Point(_LEFT, "after", "axis.office.attempt:Attempts._call", "its system has it; our state does not say so: asked again"),
    Point(_LEFT, "after", "axis.office.attempt:Attempts._outcome", "the same, with the answer in hand"),
    Point(_LEFT, "before", "axis.office.state:State.keep", "the answer is signed; our state does not have it: asked again", _FEW),
    # ... to the second around the commit of it.
    Point(_RIGHT, "before", "axis.office.attempt:Attempts.take", "handed out; not on record"),
    Point(_RIGHT, "after", "axis.office.attempt:Attempts._open", "verified; not on record"),
    Point(_RIGHT, "after", "axis.office.state:State.keep", "the answer is in our state; not published: never asked again", _FEW),
    Point(_RIGHT, "after", "axis.office.attempt:Attempts._answer", "the same, with other documents at work beside it"),
    Point(_RIGHT, "after", "axis.office.attempt:Attempts.take", "the answer is published; the document is not acked"),
    Point(_RIGHT, "before", "axis.broker.pipes:_Arrivals.settle_one", "the same, at the last moment"),
    Point(_RIGHT, "after", "axis.broker.pipes:_Arrivals.settle_one", "acked; the ack may be lost with the process"),
)  # fmt: skip

RECEIPT = (
    # Said by an addressee.
    Point(_LEFT, "after", "axis.receipts.issue:issue", "signed; in no state: its system is asked again"),
    Point(_LEFT, "after", "axis.office.speech:say", "all receipts of an attempt are signed; in no state"),
    Point(_LEFT, "after", "axis.office.state:State.keep", "in the state; not published: the same bytes go out", _FEW),
    Point(_LEFT, "before", "axis.office.courier:Courier._publish_one", "packed; not published", _FEW),
    Point(_LEFT, "after", "axis.office.courier:Courier._publish_one", "confirmed by the broker; not marked as published", _FEW),
    Point(_LEFT, "before", "axis.office.state:State.published", "all that was ready is confirmed; not marked", _FEW),
    Point(_LEFT, "after", "axis.office.state:State.published", "marked; the document is not acked", _FEW),
    # Taken by a router.
    Point("router", "before", "axis.router:Router._answered", "handed out; not looked at", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers._read", "verified; not on record", _FEW),
    Point("router", "before", "axis.ledger.book:Ledger.record", "the same, with what has come beside it", _FEW),
    Point("router", "after", "axis.ledger.deliveries:record", "written in a transaction that is not committed", _FEW),
    Point("router", "after", "axis.ledger.book:Ledger.record", "on record with its notice; not acked", _FEW),
    Point("router", "after", "axis.dispatch.answers:Answers.take_all", "the same, and told to those who watch"),
    Point("router", "after", "axis.router:Router._answered", "on record; its batch is not acked", _FEW),
    # Heard by the originator.
    Point(SENDER, "before", "axis.office.hearing:Hearing.take", "handed out; not in the state"),
    Point(SENDER, "after", "axis.office.hearing:Hearing._keep", "one of several is in the state; not acked"),
    Point(SENDER, "after", "axis.office.state:State.hear", "in the state; whether the submission has ended may not be"),
    Point(SENDER, "after", "axis.office.hearing:Hearing.take", "in the state; not acked"),
    Point(SENDER, "after", "axis.office.state:State.untaken", "found; its system has not heard it", _FEW),
    Point(SENDER, "after", "axis.office.hearing:Hearing._offer_one", "its system has heard it; our state does not say so"),
    Point(SENDER, "before", "axis.office.state:State.offered", "its system has heard several; our state does not say so", _FEW),
    Point(SENDER, "after", "axis.office.state:State.offered", "taken", _FEW),
)  # fmt: skip
