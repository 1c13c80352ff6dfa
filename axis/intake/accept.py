"""Acceptance: take custody of one sealed envelope, or refuse it with reasons.

Custody begins at one commit - envelope, deliveries, acceptance receipt and its
notice - and only after it do we answer. If the process dies before that
commit, nothing was promised; if it dies after, the originator asks again and
gets the same answer, because the envelope is known.

Spec: docs/protocol/intake.md; design laws 1 and 2.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType

from axis import brief, clock, contents, edxml, ids, seal
from axis.batches import Batches
from axis.contents import Content
from axis.deadlines import Deadlines
from axis.dispatch.along import Along, alone
from axis.dispatch.carriage import Carriage
from axis.dispatch.newest import Renew, Roll, as_it_is, by_newest
from axis.edxml import AttachmentRef
from axis.edxml.values import local_date
from axis.errors import AxisError, PermanentError, Refusal, Violation, violation
from axis.intake.answered import links_to, not_assigned, tasks_answered
from axis.intake.custody import business_type_of, custody_of, key_of, rejection_of, verdicts_of
from axis.intake.enclosed import Files, dossier_said, impossible, require_contents, task_said
from axis.intake.examine import Examined, examine, sealed_content
from axis.intake.notary import Original, says_the_same
from axis.ledger import Conflict, Custody, CustodyAnswer, GivenTask, Impossible, Known, Ledger, Taken
from axis.receipts import MAX_VIOLATIONS, Level, Verdict
from axis.receipts.voice import Voice
from axis.routing import Link
from axis.spool import Spool
from axis.telemetry import events, metrics

_ROUTE_BYTES = 250  # An addressee has so many in an envelope that names it.


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The axis owes an answer for every addressee from now on."""

    envelope_id: str
    receipt_xml: bytes
    duplicate: bool  # The envelope was accepted before; this is the first answer again.
    begun_anew: tuple[str, ...] = ()  # Addressees whose deliveries had expired, and have begun again.


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What would be answered to an envelope, and why."""

    violations: tuple[Violation, ...] = ()
    envelope_id: str | None = None  # Of what stands under its business key.
    duplicate: bool = False  # It was accepted before; whatever is wrong with it by now.
    examined: Examined | None = None  # None: it is refused before its files are asked for.
    missing: tuple[AttachmentRef, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the acceptance would say of each addressee."""
        return () if self.examined is None else verdicts_of(self.examined)

    @property
    def attachments(self) -> tuple[AttachmentRef, ...]:
        """The files that must be here."""
        return () if self.examined is None else self.examined.attachments


class Rejected(PermanentError):
    """An envelope was refused; the signed receipt says why."""

    def __init__(self, refusal: Refusal, receipt_xml: bytes) -> None:
        self.refusal = refusal
        self.receipt_xml = receipt_xml
        super().__init__(refusal.code, refusal.detail, is_whole=True)


@dataclass(frozen=True, slots=True)
class _Came:
    """An envelope as an office handed it in."""

    sealed: bytes
    submitter: str
    is_notarised: bool = False  # By the axis itself, just now.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """What an envelope that is in order leads to: its files, and the tasks that it answers; and what is wrong with them."""

    missing: tuple[AttachmentRef, ...]
    enclosed: tuple[Content, ...]  # None is read where a file is missing.
    given: tuple[GivenTask, ...]
    wrong: tuple[Violation, ...]  # With its files and contents.
    unassigned: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class _Examined:
    """An envelope that is in order and whose files are here, and how it came."""

    examined: Examined
    via: str
    enclosed: tuple[Content, ...]  # The contents that it carries.
    answered: tuple[Link, ...]  # The documents that gave the tasks that it answers.
    original: Original | None
    brought: Mapping[str, bytes]  # Files that came with it, and are in the spool now.


@dataclass(frozen=True, kw_only=True)
class Intake:
    """The rooms that acceptance needs, opened once per process. What comes at the same moment is judged and kept together."""

    ledger: Ledger
    spool: Spool
    roll: Callable[[], Roll]  # The offices as known now.
    voice: Voice  # In whose name the axis answers.
    lifetimes: Sequence[timedelta]  # By priority.
    deadlines: Deadlines
    batch: int = 64  # Envelopes that share one commit.
    along: Along = alone  # What a commit makes due is begun with it.
    carriage: Carriage = field(default_factory=Carriage)  # Where files that came along wait for that.
    attachment_bytes: int = 2 * 1024**3  # The largest that may come along.
    renew: Renew = as_it_is
    now: Callable[[], datetime] = clock.now
    _examining: Batches[_Came, Examined] = field(init=False)
    _committing: Batches[_Examined, tuple[Custody, CustodyAnswer]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_examining", Batches(self._examine, most=self.batch))
        object.__setattr__(self, "_committing", Batches(self._commit, most=self.batch))

    async def accept(
        self,
        sealed: bytes,
        *,
        submitter: str,
        via: str,
        original: Original | None = None,
        carried: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Acceptance:
        """Take custody of one sealed envelope.

        Args:
            sealed: As received, without inline attachments; its files are in the spool, or among `carried`.
            submitter: OrganId of the office whose account it came over.
            via: "amqp" or "http".
            original: What the axis has sealed as a notary, if it has.
            carried: Files that came along, by the digests that they are said to have. What the envelope does not name in
                that size is left alone.

        Raises:
            Rejected: It is refused; the refusal is on record.
            TransientError: It could not be judged or kept now; nothing was promised.
        """
        began = time.perf_counter()
        try:
            examined = await self._examining.add(_Came(sealed, submitter, original is not None))
            brought = self._brought(examined, carried)
            gathered = await self._gather(examined, submitter, brought)
            if gathered.wrong or gathered.unassigned:
                await self._require_nothing_wrong(sealed, examined, gathered, original)
            answered = links_to(examined, gathered.given)
            await self._keep(examined, brought)
            answer = await self._take_custody(_Examined(examined, via, gathered.enclosed, answered, original, brought))
        except Refusal as refusal:
            return await self.refuse(sealed, refusal, submitter=submitter, via=via, original=original)
        self._tell(answer, examined, via, time.perf_counter() - began)
        return answer

    async def judge(
        self, sealed: bytes, *, submitter: str, via: str, original: Original | None = None
    ) -> Acceptance | None:
        """Refuse what `accept` would refuse before it asks for files: nothing is to be kept for such an envelope.

        Returns:
            The acceptance that this content had once, where today's rules would refuse it.

        Raises:
            Rejected: It is refused; the refusal is on record.
            TransientError: It could not be judged now.
        """
        try:
            await self._examining.add(_Came(sealed, submitter, original is not None))
        except Refusal as refusal:
            return await self.refuse(sealed, refusal, submitter=submitter, via=via, original=original)
        return None

    async def foresee(
        self, sealed: bytes, *, submitter: str, carried: Files = MappingProxyType({}), original: Original | None = None
    ) -> Foreseen:
        """Say what `accept` would answer, and keep nothing.

        Args:
            sealed: As for `accept`.
            submitter: As for `accept`.
            carried: Files that came with it and would be in the spool, by digest; the bytes of contents.
            original: As for `accept`.

        Raises:
            TransientError: It could not be judged now.
        """
        try:
            examined = await self._examining.add(_Came(sealed, submitter, original is not None))
        except Refusal as refusal:
            return await self.foresee_refusal(sealed, refusal, submitter=submitter, original=original)
        gathered = await self._gather(examined, submitter, carried)
        answer, is_repeated, violations = await self._against_what_stands(sealed, examined, gathered, original)
        if violations:
            known = await self._accepted_before(sealed, submitter, original)
            if known is not None:
                return Foreseen(envelope_id=known.envelope_id, duplicate=True, examined=examined)
        return Foreseen(
            violations=violations,
            envelope_id=None if answer is None else answer.envelope_id,
            duplicate=is_repeated and not violations,
            examined=examined,
            missing=gathered.missing,
        )

    async def foresee_refusal(
        self, octets: bytes, refusal: Refusal, *, submitter: str, original: Original | None = None
    ) -> Foreseen:
        """Say what `refuse` would answer, and keep nothing."""
        known = await self._accepted_before(octets, submitter, original)
        if known is not None:
            return Foreseen(envelope_id=known.envelope_id, duplicate=True)
        return Foreseen(violations=refusal.violations)

    async def _examine(self, came: Sequence[_Came]) -> list[Examined | Exception]:
        """Examine envelopes; what is wrong with one is its own answer."""
        return await by_newest(self._judged, came, self.roll, self.renew, lambda one: brief.weight(one.sealed))

    def _judged(self, came: _Came, roll: Roll) -> Examined | Exception:
        offices, trust = roll
        notary = self.voice.organ_id if came.is_notarised else None
        try:
            return examine(
                came.sealed, submitter=came.submitter, roll=offices, trust=trust, at=self.now(), notary=notary
            )
        except AxisError as error:
            return error

    async def _gather(self, examined: Examined, submitter: str, carried: Files = MappingProxyType({})) -> _Gathered:
        """Look for the files of an envelope, read its contents, and look up the tasks that it answers."""
        missing = await self._missing(examined, submitter, carried)
        wrong = [found for _, found in missing]
        enclosed: tuple[Content, ...] = ()
        try:
            enclosed = () if missing else await self._require_contents(examined, carried)
        except Refusal as refusal:
            wrong += refusal.violations
        given = await tasks_answered(examined, self.ledger, self.roll()[0])
        return _Gathered(
            missing=tuple(ref for ref, _ in missing),
            enclosed=enclosed,
            given=tuple(given),
            wrong=tuple(wrong),
            unassigned=edxml.with_lines(not_assigned(examined, given), examined.verified.received),
        )

    async def _require_nothing_wrong(
        self, sealed: bytes, examined: Examined, gathered: _Gathered, original: Original | None
    ) -> None:
        """Refuse an envelope with whose files, contents or tasks something is wrong, with all that is known to be wrong then."""
        _, _, violations = await self._against_what_stands(sealed, examined, gathered, original)
        if violations:
            raise Refusal(violations)

    async def _against_what_stands(
        self, sealed: bytes, examined: Examined, gathered: _Gathered, original: Original | None
    ) -> tuple[Known | Conflict | None, bool, tuple[Violation, ...]]:
        """Return what stands under the key of an envelope, whether it is the same message, and all that is wrong with this one.

        What stands may have changed when custody is to begin: then it is asked again.
        """
        answer = await self.ledger.standing_under(key_of(examined), examined.verified.digest)
        is_repeated = isinstance(answer, Known)
        if isinstance(answer, Conflict):
            is_repeated = original is not None and await self._is_rewritten(sealed, answer.envelope_id)
        violations = list(gathered.wrong)
        if not is_repeated:
            violations += gathered.unassigned
            violations += (
                [_conflict(examined)]
                if isinstance(answer, Conflict)
                else await self._impossible(examined, gathered.enclosed)
            )
        return answer, is_repeated, tuple(violations[:MAX_VIOLATIONS])  # As many as the receipt tells.

    async def _impossible(self, examined: Examined, enclosed: Sequence[Content]) -> list[Violation]:
        """Return what an envelope tells of a dossier and of a task that cannot follow what was told before."""
        message = examined.verified.message
        dossier, task = dossier_said(enclosed, business_type_of(message)), task_said(enclosed, message, self.roll()[0])
        if dossier is None and task is None:
            return []
        against = await self.ledger.stands_against(examined.resolution.originator.code, dossier, task)
        return [found for one in against for found in impossible(enclosed, one).violations]

    async def _missing(
        self, examined: Examined, submitter: str, carried: Collection[str] = ()
    ) -> list[tuple[AttachmentRef, Violation]]:
        """Return the files that are not here, or not the submitter's to send; `carried` ones are on their way."""
        wanted = [ref for ref in examined.attachments if ref.sha256 not in carried]
        if not wanted:
            return []
        digests = [ref.sha256 for ref in wanted]
        sizes = await asyncio.gather(*map(self.spool.exists, digests))
        # A file that only others hold is as good as absent: its digest must not be a key to it.
        readable = await asyncio.gather(*(self.ledger.may_read(submitter, digest) for digest in digests))
        missing = []
        for ref, there, may_read in zip(wanted, sizes, readable, strict=True):
            if there is None or not may_read:
                missing.append((ref, _about(examined, ref, "ATT.MISSING", rule="attachment:uploaded")))
            elif there != ref.size_bytes:
                missing.append((ref, _about(examined, ref, "ATT.DIGEST", rule="attachment:size")))
        return missing

    def _brought(self, examined: Examined, carried: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return those of the files that came along which the envelope names.

        Raises:
            Refusal: ATT.SIZE; ATT.DIGEST: a content, which is about to be read, is not as sealed.
        """
        other = {ref.sha256 for ref in examined.attachments if len(carried.get(ref.sha256, b"")) != ref.size_bytes}
        came = carried.keys() - other
        named = [ref for ref in examined.attachments if ref.sha256 in came and ref.size_bytes > 0]
        large = [ref for ref in named if ref.size_bytes > self.attachment_bytes]
        if large:
            raise Refusal([_about(examined, ref, "ATT.SIZE", rule="attachment:most") for ref in large])
        wrong = [ref for ref in contents.listed(named) if sha256(carried[ref.sha256]).hexdigest() != ref.sha256]
        if wrong:
            raise Refusal([_not_as_sealed(examined, ref) for ref in wrong])
        return {ref.sha256: carried[ref.sha256] for ref in named}

    async def _keep(self, examined: Examined, brought: Mapping[str, bytes]) -> None:
        """Put files that came along into the spool.

        Raises:
            Refusal: ATT.DIGEST; some are not as sealed.
            TransientError: SYS.SPOOL
        """
        if not brought:
            return
        kept = await asyncio.gather(
            *(self.spool.put(digest, content) for digest, content in brought.items()), return_exceptions=True
        )
        for one in kept:
            if isinstance(one, BaseException) and not isinstance(one, Refusal):
                raise one
        wrong = {digest for digest, one in zip(brought, kept, strict=True) if isinstance(one, Refusal)}
        if wrong:
            raise Refusal([_not_as_sealed(examined, ref) for ref in examined.attachments if ref.sha256 in wrong])
        metrics.FILES_ALONG.labels("in").inc(len(brought))

    async def _require_contents(self, examined: Examined, carried: Files) -> tuple[Content, ...]:
        return await require_contents(
            examined, spool=self.spool, roll=self.roll()[0], today=local_date(self.now()), carried=carried
        )

    async def _take_custody(self, one: _Examined) -> Acceptance:
        custody, answer = await self._committing.add(one)
        match answer:
            case Taken():
                return Acceptance(custody.envelope_id, custody.receipts[0].xml, duplicate=False)
            case Known(envelope_id=envelope_id, accepted_receipt_xml=xml, begun_anew=begun):
                if one.via == "amqp":  # Over HTTP the answer itself carries it.
                    await self.ledger.notify_again(envelope_id, custody.originator, self.now())
                return Acceptance(envelope_id, xml, duplicate=True, begun_anew=begun)
            case Conflict(envelope_id=envelope_id):
                if one.original is not None and await self._is_rewritten(custody.sealed, envelope_id):
                    begun = await self.along(self.ledger.begin_anew(envelope_id, custody))
                    xml = await self._first_answer(envelope_id)
                    return Acceptance(envelope_id, xml, duplicate=True, begun_anew=begun)
                raise Refusal([_conflict(one.examined)])
            case Impossible() as found:  # The commit names the first; what stands may have changed since.
                all_of_it = await self._impossible(one.examined, one.enclosed)
                raise Refusal(all_of_it or impossible(one.enclosed, found).violations)

    async def _is_rewritten(self, sealed: bytes, envelope_id: str) -> bool:
        """Tell whether an older system has only written a document anew that was accepted before."""
        known = await self.ledger.sealed(envelope_id)
        return known is not None and await asyncio.to_thread(says_the_same, sealed, known)

    async def _first_answer(self, envelope_id: str) -> bytes:
        said = await self.ledger.receipts_of(envelope_id)
        return next(one.xml for one in said if one.level == Level.ACCEPTED)

    async def _commit(self, examined: Sequence[_Examined]) -> list[tuple[Custody, CustodyAnswer] | Exception]:
        """Sign the acceptance of envelopes, and take custody of them in one commit."""
        decided = await brief.each(self._custody, examined, _weight)
        custodies = [one for one in decided if isinstance(one, Custody)]
        if not custodies:
            return [one for one in decided if isinstance(one, Refusal)]
        # Before the commit: what it makes due is on its way as soon as it is on the disk.
        for one, custody in zip(examined, decided, strict=True):
            if one.brought and isinstance(custody, Custody):
                self.carriage.keep(custody.envelope_id, one.brought)
        answers = iter(await self.along(self.ledger.take_custody(custodies)))
        return [one if isinstance(one, Refusal) else (one, next(answers)) for one in decided]

    def _custody(self, one: _Examined) -> Custody | Refusal:
        at = self.now()
        try:
            # It was judged a while ago, and whoever verifies it later does so by the time at which it was accepted.
            seal.require_still_good(one.examined.verified, at)
        except Refusal as refusal:
            return refusal
        return custody_of(
            one.examined,
            envelope_id=ids.new(at),
            voice=self.voice,
            at=at,
            lifetimes=self.lifetimes,
            deadlines=self.deadlines,
            via=one.via,
            enclosed=one.enclosed,
            roll=self.roll()[0],
            answered=one.answered,
            original=one.original,
        )

    async def refuse(
        self, octets: bytes, refusal: Refusal, *, submitter: str, via: str, original: Original | None = None
    ) -> Acceptance:
        """Put a refusal on record, or repeat an acceptance that today's rules would no longer give; nothing begins by that.

        Args:
            octets: What was handed in, as far as that could be read apart: the receipt names its digest. b"" where an
                original never became an envelope.
            refusal: Why it is refused.
            submitter: OrganId of the office whose account it came over.
            via: "amqp" or "http".
            original: What the axis has sealed, or would have; the receipt names its digest then.

        Raises:
            Rejected: With the signed receipt.
            TransientError: It cannot be kept now.
        """
        known = await self._accepted_before(octets, submitter, original)
        if known is not None:
            if via == "amqp":
                await self.ledger.notify_again(known.envelope_id, submitter, self.now())
            return Acceptance(known.envelope_id, known.accepted_receipt_xml, duplicate=True)
        digest = _digest_of(octets, original)
        rejection = rejection_of(
            octets, refusal, digest=digest, submitter=submitter, voice=self.voice, at=self.now(), via=via
        )
        xml = await self.ledger.reject(rejection)
        codes = [found.code for found in refusal.violations]
        metrics.ENVELOPES_REJECTED.labels(codes[0]).inc()
        events.envelope_rejected(submitter=submitter, digest=rejection.sealed_digest, codes=codes, via=via)
        raise Rejected(refusal, xml)

    async def _accepted_before(self, octets: bytes, submitter: str, original: Original | None) -> Known | None:
        """Return the acceptance that the same had from the same office: these bytes, or this content under a good seal.

        Of one content an originator must not hold an acceptance and a rejection.
        """
        known = await self.ledger.accepted_bytes(submitter, _digest_of(octets, original))
        if known is not None:
            return known
        (roll, trust), notary = self.roll(), None if original is None else self.voice.organ_id
        content = await asyncio.to_thread(
            sealed_content, octets, submitter=submitter, roll=roll, trust=trust, at=self.now(), notary=notary
        )
        return None if content is None else await self.ledger.accepted_content(submitter, content)

    def _tell(self, answer: Acceptance, examined: Examined, via: str, duration_s: float) -> None:
        received = examined.verified.received
        if answer.duplicate:
            metrics.ENVELOPES_DUPLICATE.labels(via).inc()
            events.envelope_repeated(
                envelope_id=answer.envelope_id,
                originator=received.originator,
                document_id=received.document_id,
                via=via,
            )
            for addressee in answer.begun_anew:
                events.delivery_begun_anew(envelope_id=answer.envelope_id, addressee=addressee)
            return
        metrics.ENVELOPES_ACCEPTED.labels(via).inc()
        metrics.ACCEPTANCE_SECONDS.observe(duration_s)
        events.envelope_accepted(
            envelope_id=answer.envelope_id,
            originator=received.originator,
            document_id=received.document_id,
            addressees=len(examined.resolution.routes),
            via=via,
            duration_s=duration_s,
        )


def _weight(one: _Examined) -> int:
    """Return for how many bytes it counts to decide on custody: a small envelope may name a group of thousands."""
    return max(len(one.examined.verified.received.sealed), _ROUTE_BYTES * len(one.examined.resolution.routes))


def _not_as_sealed(examined: Examined, ref: AttachmentRef) -> Violation:
    return _about(examined, ref, "ATT.DIGEST", rule="attachment:digest")


def _digest_of(octets: bytes, original: Original | None) -> str:
    """Return the digest of the bytes that came."""
    return sha256(octets).hexdigest() if original is None else original.sha256


def _about(examined: Examined, ref: AttachmentRef, code: str, *, rule: str) -> Violation:
    """Return what is wrong with a file, at its entry in the manifest."""
    found = violation(code, ref.name, path=edxml.path_to_entry(examined.attachments, ref), rule=rule)
    return edxml.with_lines([found], examined.verified.received)[0]


def _conflict(examined: Examined) -> Violation:
    found = violation("MSG.CONFLICT", key_of(examined)[2], path=edxml.path_to_id(examined.verified.message))
    return edxml.with_lines([found], examined.verified.received)[0]
