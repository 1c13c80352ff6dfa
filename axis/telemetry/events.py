"""Log events: one function per event, with fixed keys.

Nobody writes a free log line: an event is `noun.past_participle`, its keys are
the same everywhere, and no function takes content. info = a normal outcome,
a refusal included; warning = we coped; error = a person must look, and
docs/operations.md has a paragraph for it.
"""

import logging
import sys
from datetime import datetime
from typing import Any

import orjson
import structlog

_log: structlog.stdlib.BoundLogger = structlog.get_logger("axis")


def configure(*, level: str, json: bool, service: str) -> None:
    """Set up logging once per process, to standard error."""
    renderer, factory = _json() if json else _console()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # aiormq and aio_pika report each lost connection at error level, with a trace; the broker room has its own event.
    for noisy in ("aio_pika", "aiormq", "aiormq.connection"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _json() -> tuple[Any, Any]:
    """Return renderer and factory for lines of JSON, which are bytes from the start: every document writes ten of them."""
    renderer = structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str))
    return renderer, structlog.BytesLoggerFactory(sys.stderr.buffer)


def _console() -> tuple[Any, Any]:
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return renderer, structlog.PrintLoggerFactory(sys.stderr)


def service_started(*, name: str, detail: str) -> None:
    """A process is ready to work."""
    _log.info("service.started", name=name, detail=detail)


def service_stopped(*, name: str) -> None:
    """A process ended on request, having finished what it had begun."""
    _log.info("service.stopped", name=name)


def service_failed(*, name: str, error: BaseException) -> None:
    """A loop met an error that nobody foresaw; it goes on after a pause."""
    _log.error("service.failed", name=name, exc_info=error)


def configuration_unusable(*, name: str, detail: str) -> None:
    """A file that a loop reads anew cannot be used; what was read before stays in force."""
    _log.error("configuration.unusable", name=name, detail=detail)


def room_unavailable(*, room: str, code: str, retry_s: float) -> None:
    """Ledger, spool or broker cannot be used now; the caller waits and tries again."""
    _log.warning("room.unavailable", room=room, code=code, retry_s=round(retry_s, 1))


def envelope_accepted(
    *, envelope_id: str, originator: str, document_id: str, addressees: int, via: str, duration_s: float
) -> None:
    """Custody was taken."""
    _log.info(
        "envelope.accepted",
        envelope_id=envelope_id,
        originator=originator,
        document_id=document_id,
        addressees=addressees,
        via=via,
        duration_s=round(duration_s, 4),
    )


def envelope_repeated(*, envelope_id: str, originator: str, document_id: str, via: str) -> None:
    """An envelope came again; the first answer was given again."""
    _log.info("envelope.repeated", envelope_id=envelope_id, originator=originator, document_id=document_id, via=via)


def delivery_begun_anew(*, envelope_id: str, addressee: str) -> None:
    """A delivery that had expired begins again: its document was submitted again."""
    _log.info("delivery.begun_anew", envelope_id=envelope_id, addressee=addressee)


def envelope_rejected(*, submitter: str, digest: str, codes: list[str], via: str) -> None:
    """An envelope was refused; the list of violations went back."""
    _log.info("envelope.rejected", submitter=submitter, digest=digest, codes=codes, via=via)


def envelope_put_behind(*, office: str) -> None:
    """An office handed in more than its allowance; this one is judged behind the others'."""
    _log.debug("envelope.put_behind", office=office)


def delivery_attempted(*, envelope_id: str, addressee: str, attempt: int) -> None:
    """A delivery was published to the addressee's inbox."""
    _log.info("delivery.attempted", envelope_id=envelope_id, addressee=addressee, attempt=attempt)


def delivery_unpublished(*, envelope_id: str, addressee: str, attempt: int, code: str) -> None:
    """A delivery could not be published; it is due again soon."""
    _log.warning("delivery.unpublished", envelope_id=envelope_id, addressee=addressee, attempt=attempt, code=code)


def delivery_gave_up_files(*, envelope_id: str, addressee: str) -> None:
    """The broker has given up a message that brought its files; the delivery is due again without them."""
    _log.warning("delivery.gave_up_files", envelope_id=envelope_id, addressee=addressee)


def delivery_changed(
    *, envelope_id: str, addressee: str, level: str, state: str, attempt: int, next_at: datetime | None
) -> None:
    """A receipt changed, or confirmed, the state of a delivery."""
    _log.info(
        "delivery.changed",
        envelope_id=envelope_id,
        addressee=addressee,
        receipt=level,
        state=state,
        attempt=attempt,
        next_at=next_at.isoformat() if next_at else None,
    )


def delivery_dead_lettered(*, envelope_id: str, addressee: str, code: str) -> None:
    """A delivery was given up until a person replays it."""
    _log.error("delivery.dead_lettered", envelope_id=envelope_id, addressee=addressee, code=code)


def deadline_reminded(*, envelope_id: str, addressee: str, code: str) -> None:
    """An addressee was reminded of a deadline; if it is over, the originator knows too."""
    _log.info("deadline.reminded", envelope_id=envelope_id, addressee=addressee, code=code)


def receipt_refused(*, submitter: str, digest: str, code: str) -> None:
    """A receipt was not accepted; the delivery it speaks of is unchanged."""
    _log.warning("receipt.refused", submitter=submitter, digest=digest, code=code)


def receipts_compared(*, envelope_id: str, said_again: int, heard_late: int) -> None:
    """Receipts had been lost on the way between an office and the axis; they are on it again."""
    _log.warning("receipts.compared", envelope_id=envelope_id, said_again=said_again, heard_late=heard_late)


def message_dead_lettered(*, queue: str, kind: str, digest: str) -> None:
    """The broker gave up a message; the ledger has it now."""
    _log.error("message.dead_lettered", queue=queue, kind=kind, digest=digest)


def file_damaged(*, sha256: str) -> None:
    """A file in the spool is not what it was; whoever asked for it as part of a message got no whole one."""
    _log.error("file.damaged", sha256=sha256)


def registry_loaded(*, version: str, offices: int) -> None:
    """The roll of offices changed."""
    _log.info("registry.loaded", version=version, offices=offices)


def gateway_certificate_renewed(*, until: datetime) -> None:
    """The gateway shows another certificate, or asks for those of other authorities, from now on."""
    _log.info("gateway.certificate.renewed", until=until.isoformat())


def gateway_certificate_unusable(*, detail: str, until: datetime) -> None:
    """What was put in the place of the gateway's certificate cannot be used; the one before stays in force."""
    _log.error("gateway.certificate.unusable", detail=detail, until=until.isoformat())


def inbox_audited(*, office: str, waiting: int, republished: int) -> None:
    """An inbox was compared with the ledger; what it had lost was published again."""
    _log.warning("inbox.audited", office=office, waiting=waiting, republished=republished)


def inbox_missing(*, office: str, unanswered: int) -> None:
    """An inbox is not there: what nobody has answered cannot be looked for in it. The layout is mended, or the office has gone."""
    _log.warning("inbox.missing", office=office, unanswered=unanswered)


def inbox_searched(*, office: str, taken_out: int) -> None:
    """An inbox was led round, and what an order takes back was taken out of it."""
    _log.info("inbox.searched", office=office, taken_out=taken_out)


def clock_set_right(*, room: str, moved: int) -> None:
    """Something was to wait longer than anything may: a clock had been ahead. It is due now."""
    _log.warning("clock.set_right", room=room, moved=moved)


def webhook_put_off(*, office: str, webhook: str, note: str, failures: int) -> None:
    """A webhook did not take a message; it is told again later."""
    _log.warning("webhook.put_off", office=office, webhook=webhook, note=note, failures=failures)


def webhook_disabled(*, office: str, webhook: str, note: str) -> None:
    """A webhook has taken nothing for too long, or wants nothing more; its office must set it going again."""
    _log.error("webhook.disabled", office=office, webhook=webhook, note=note)


def layout_mended() -> None:
    """Exchanges, queues and bindings were declared again: the broker was away, or something of them was missing."""
    _log.warning("layout.mended")


def attempt_answered(*, envelope_id: str, attempt: int, level: str) -> None:
    """An office has answered an envelope, and its receipts are on the disk."""
    _log.info("attempt.answered", envelope_id=envelope_id, attempt=attempt, receipt=level)


def order_settled(*, envelope_id: str, state: str, withdrawn: int) -> None:
    """An office has answered an order about documents that it has, and so many copies were given up."""
    _log.info("order.settled", envelope_id=envelope_id, state=state, withdrawn=withdrawn)


def attempt_failed(*, envelope_id: str, attempt: int, error: BaseException) -> None:
    """An office's handler raised; the error is written here and nowhere else."""
    _log.warning("attempt.failed", envelope_id=envelope_id, attempt=attempt, exc_info=error)


def receipt_heard(*, envelope_id: str, issuer: str, level: str) -> None:
    """An office got a receipt about what it sent."""
    _log.info("receipt.heard", envelope_id=envelope_id, issuer=issuer, receipt=level)


def receipt_not_taken(*, envelope_id: str, digest: str, tries: int, error: BaseException) -> None:
    """An office's system did not take a receipt; it is offered again."""
    _log.warning("receipt.not_taken", envelope_id=envelope_id, digest=digest, tries=tries, exc_info=error)


def submission_kept(*, submission_id: str, document_id: str, files: int) -> None:
    """An office will send something: it cannot be lost from here on."""
    _log.info("submission.kept", submission_id=submission_id, document_id=document_id, files=files)


def submission_put_off(*, submission_id: str, tries: int, code: str) -> None:
    """Something could not be sent now; it is tried again."""
    _log.warning("submission.put_off", submission_id=submission_id, tries=tries, code=code)


def submission_not_noted(*, submission_id: str, code: str) -> None:
    """What came of a try to send something cannot be written now; it is kept in mind, with the usual pauses, until it can."""
    _log.warning("submission.not_noted", submission_id=submission_id, code=code)


def submission_file_lost(*, submission_id: str, sha256: str) -> None:
    """An office's copy of a file is gone, or is not what was sealed; what it belongs to is sent without bringing it."""
    _log.warning("submission.file_lost", submission_id=submission_id, sha256=sha256)


def submission_ended(*, submission_id: str, state: str, code: str | None) -> None:
    """The axis answered a submission, or it cannot be made."""
    _log.info("submission.ended", submission_id=submission_id, state=state, code=code)
