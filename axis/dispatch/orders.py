"""Orders: what an accepted envelope says of an earlier document is acted on.

A recall, an update, a replacement takes back what the addressee cannot have: it
is never begun again, and its message is taken out of the inbox. What the
addressee has, or may have, is for the addressee to answer: the order is let go
to it. Of a closed office whose mail is held, an order follows its document to
whom that was forwarded; where that did not go anywhere, the order is held too.
A status message moves what is known of the work on a document. An envelope
waits until this has been done; an order that has overtaken its document waits
for it, and is refused when it has waited for too long. One that speaks of
several documents is decided for each addressee as a whole: when all are here.

Every step compares before it sets, and a link stays due until it is settled:
whoever dies here is followed by somebody who does the same again, and finds
done what was done.

Spec: docs/protocol/orders.md; docs/adr/0015.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from axis import seal
from axis.broker import Broker, Incoming, topology
from axis.clock import Clock
from axis.dispatch import business
from axis.dispatch.answers import Answers
from axis.dispatch.states import State
from axis.dispatch.succession import held_of
from axis.errors import Refusal, TransientError
from axis.ledger import LINK_CLAIM, WITHOUT_IT, DeliveryRow, DueLink, Ledger
from axis.registry import Registry
from axis.routing import ANSWERS, EMPTY_HANDED, LinkKind, require_heir
from axis.telemetry import events

_LINKS = 1000  # Judged in one round; a circular to all communes is one for each.
_LONGEST_INBOX = 20_000  # Messages of an inbox that is led round for one order.
_FIRST_WAIT = timedelta(seconds=1)  # For a document that is not here; then a fifth of how long that has been so.
_WAITS_BEYOND = timedelta(minutes=1)
_BY_ITS_DOCUMENT = "document"  # Who has decided where an order goes.
_BEHIND = LINK_CLAIM + timedelta(seconds=15)
_Found = Mapping[str, Sequence[DeliveryRow]]  # The deliveries of documents that are here, by document id.


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Acts on links that are due."""

    ledger: Ledger
    broker: Broker
    answers: Answers
    roll: Callable[[], tuple[Registry, seal.Trust]]
    patience: timedelta  # For how long an order may wait for its document.
    ring: Callable[[], None]  # Something may be due now.
    now: Clock
    left: Callable[[], Awaitable[None]]  # Returns when what is being published lies in its inboxes.

    async def go_round(self) -> bool:
        """Act on what is due now; return whether there was more than one round takes."""
        now = self.now()
        if not await self.ledger.links_waiting(now):
            return False
        due = await self.ledger.links_due(now, _LINKS)
        together: dict[tuple[str, ...], list[DueLink]] = defaultdict(list)
        for link in due:
            together[_decided_with(link)].append(link)
        for links in together.values():
            try:
                await self._judge(links, now)
            except Exception as error:
                # Behind all others that were claimed: what cannot be judged now must not stand in their way again.
                await self.ledger.put_off_links(links, now + _BEHIND, now + _BEHIND + _WAITS_BEYOND)
                if isinstance(error, TransientError):
                    raise
                events.service_failed(name="dispatch.orders", error=error)
        self.ring()
        return len(due) >= _LINKS

    async def _judge(self, links: Sequence[DueLink], now: datetime) -> None:
        """Act on what one envelope says of one document, or orders of several."""
        first = links[0]
        kind = LinkKind(first.kind)
        if kind is LinkKind.STATUS or kind in ANSWERS:
            copies = await self._copies(first, first.document_id)
            if copies is None:  # The document may have come another way.
                await self.ledger.settle_links(links, {}, {first.originator}, now)
            elif kind is LinkKind.STATUS:
                await self._take_status(links, copies, now)
            else:
                await self.ledger.settle_links(links, _about(copies), (), now)
            return
        if kind is LinkKind.REPLACE:
            # Of several documents, perhaps: it is decided on all that is open, whoever has claimed it.
            links = await self.ledger.unsettled_links(first.envelope_id, kind) or links
        wanted = dict.fromkeys(link.document_id for link in links)
        found = {one: copies for one in wanted if (copies := await self._copies(first, one)) is not None}
        short = {link.deliver_to for link in links if link.document_id not in found}
        wait = [link for link in links if link.deliver_to in short]
        act = [link for link in links if link.deliver_to not in short]
        if wait:
            await self._without_document(wait, found, now)
        if act:
            await self._act(act, kind, found, now)

    async def _copies(self, link: DueLink, document_id: str) -> list[DeliveryRow] | None:
        """Return the deliveries of a document that a link speaks of; None if it is not here."""
        return await self.ledger.copies(self._line(link.originator), document_id, but=link.envelope_id)

    def _line(self, code: str) -> frozenset[str]:
        return self.roll()[0].line_of(code)

    async def _without_document(self, links: Sequence[DueLink], found: _Found, now: datetime) -> None:
        """Let an order wait for the documents that are not here, and at last refuse it; those that are here stay as they are."""
        first = links[0]
        waited = now - first.accepted_at
        if waited < self.patience:
            until = now + max(_FIRST_WAIT, waited / 5)
            await self.ledger.put_off_links(links, until, until + _WAITS_BEYOND)
            return
        missing = [link for link in links if link.document_id not in found]
        await self._refuse(missing, "ORD.UNKNOWN_DOCUMENT", now)
        await self.ledger.settle_links(links, _about(*found.values()), (), now)

    async def _take_status(self, links: Sequence[DueLink], copies: Sequence[DeliveryRow], now: datetime) -> None:
        """Move what is known of the work on a document by what its addressee says, and let the message go."""
        for link in links:
            own = _answered_for(copies, link.addressee, self._line(link.addressee))
            if not own:
                await self._refuse([link], "ORD.NOT_ADDRESSEE", now)
                await self.ledger.settle_links([link], _about(copies), (), now)
                continue
            for row in await self._spoken_of(link, own):
                await self._move(row, link, _about(copies), now)

    async def _spoken_of(self, link: DueLink, own: Sequence[DeliveryRow]) -> Sequence[DeliveryRow]:
        """Return the deliveries that a status is about: an answer is about the order, and names its document."""
        if link.status_code not in business.ANSWERS:
            return own[-1:]
        line = self._line(link.addressee)
        orders = await self.ledger.orders_about({row.envelope_id for row in own}, line)
        return (_answered_for(orders, link.addressee, line) or own)[-1:]

    async def _move(self, row: DeliveryRow, link: DueLink, about: Mapping[str, str], now: datetime) -> None:
        code = link.status_code or ""
        while True:
            moves = business.follows(row.business, code, is_order=business.is_order(row))
            clocks = self.answers.clocks_after(row, code, now) if moves else None
            if await self.ledger.take_status(row, link, clocks, about=about, at=now):
                return
            again = await self.ledger.delivery(row.envelope_id, row.addressee)
            if again is None:
                raise AssertionError("a delivery is never removed")
            row = again

    async def _act(self, links: Sequence[DueLink], kind: LinkKind, found: _Found, now: datetime) -> None:
        """Take back what waits, and let the order go to those who have, or may have, one of its documents."""
        first = links[0]
        own = {row.addressee: row for row in await self.ledger.deliveries_of(first.envelope_id)}
        held = {office: row for office, row in own.items() if State(row.state) is State.HELD}
        # What its addressee will not get any more replaces nothing. A recall that has ended has done so by what it did.
        acting = [one for one in links if kind in EMPTY_HANDED or own[one.deliver_to].state not in WITHOUT_IT]

        def meant(rows: Sequence[DeliveryRow], addressee: str) -> list[DeliveryRow]:
            line = self._line(addressee)
            # Whose copies are meant beside its own: who took over from it, and not who took over beside it.
            heirs = self.roll()[0].succession_of(addressee) if addressee in held else frozenset()
            forwarded = [row for row in _of(rows, heirs) if row.in_place_of in line]
            return [*_copies_of(rows, addressee, line), *forwarded]

        await self._take_back(
            [row for link in acting for row in meant(found[link.document_id], link.addressee)], first, now
        )
        left = {one: await self._copies(first, one) or [] for one in dict.fromkeys(link.document_id for link in acting)}
        by_office: dict[str, list[DueLink]] = defaultdict(list)
        for link in acting:
            by_office[link.addressee].append(link)
        released: set[str] = set()
        for office, theirs in by_office.items():
            rows = [row for link in theirs for row in meant(left[link.document_id], office)]
            if kind not in EMPTY_HANDED or not all(map(_never_reached, rows)):
                released.add(office)
                if office in held:
                    going = rows if kind not in EMPTY_HANDED else [row for row in rows if not _never_reached(row)]
                    await self._follow(held[office], going, now)
            elif rows:
                await self._end(theirs[0], now)
            else:
                await self._refuse(theirs, "ORD.NOT_SENT_TO", now)
        await self.ledger.settle_links(links, _about(*found.values()), released, now)

    async def _follow(self, order: DeliveryRow, rows: Sequence[DeliveryRow], now: datetime) -> None:
        """Forward an order that is held to where its document was forwarded; if that was nowhere, it stays.

        It stays, too, where one of those must not get it by now: a person decides on all of it.
        """
        roll, _ = self.roll()
        heirs = _of(rows, roll.succession_of(order.addressee))
        try:
            codes = {require_heir(held_of(order), row.addressee, roll, now).code: None for row in heirs}
        except Refusal:
            return
        if codes:
            about = rows[-1].document_id
            await self.answers.forward(order, now, heirs=tuple(codes), by=_BY_ITS_DOCUMENT, reason=about)

    async def _take_back(self, rows: Sequence[DeliveryRow], order: DueLink, now: datetime) -> None:
        """Take back what its addressee cannot have: at once what is not published, and what is untouched in its inbox."""

        async def take(row: DeliveryRow, *, removed: bool) -> bool:
            return await self.answers.take_back(row, now, by=order.sent_as, told=order.sender, removed=removed)

        taken = await asyncio.gather(*(take(row, removed=False) for row in rows))
        left = [row for row, is_taken in zip(rows, taken, strict=True) if not is_taken]
        # One that was queued a moment ago may have been published since. Of one that was published more than once, a copy may
        # have been taken that nobody has answered.
        once = [row for row in left if State(row.state) in (State.QUEUED, State.SENT) and row.attempts <= 1]
        await self._take_out(once, partial(take, removed=True))

    async def _take_out(self, rows: Sequence[DeliveryRow], take: Callable[[DeliveryRow], Awaitable[bool]]) -> None:
        """Take the first messages of some deliveries out of inboxes where no reader has had them.

        Each is on record before the next inbox is searched, and none before its message is gone: else its addressee could
        have what is signed to have been taken back. Of one that is gone and not on record the order goes to the addressee.

        Args:
            rows: The deliveries.
            take: Puts on record that one is taken back.
        """
        lanes: dict[tuple[str, bool], dict[str, DeliveryRow]] = defaultdict(dict)
        for row in rows:
            lanes[row.addressee, topology.is_urgent(row.priority)][row.envelope_id] = row
        if lanes:
            # An attempt is on record before it is made: it may be on its way to an inbox that would be found empty.
            await self.left()
        depths = await self.broker.depths([topology.inbox(*lane) for lane in lanes])
        for (office, urgent), waiting in lanes.items():
            if not depths.get(topology.inbox(office, urgent)):
                continue
            taken = await self.broker.take_out(
                topology.inbox(office, urgent),
                partial(_is_untouched, waiting.keys()),
                exchange=topology.DELIVER,
                routing_key=topology.deliver_key(office, urgent),
                most=_LONGEST_INBOX,
            )
            for message in taken:
                await take(waiting[str(message.headers["envelope-id"])])
            events.inbox_searched(office=office, taken_out=len(taken))

    async def _end(self, link: DueLink, now: datetime) -> None:
        row = await self.ledger.delivery(link.envelope_id, link.addressee)
        if row is not None:
            await self.answers.end_order(row, now, about=link.document_id)

    async def _refuse(self, links: Iterable[DueLink], code: str, now: datetime) -> None:
        for link in links:
            row = await self.ledger.delivery(link.envelope_id, link.deliver_to)
            if row is not None:
                await self.answers.refuse_order(row, now, code=code, detail=link.document_id)


def _is_untouched(envelopes: Collection[str], message: Incoming) -> bool:
    """Tell whether this is the first message of one of some envelopes, as it was published."""
    headers = message.headers
    is_first = message.type == "envelope" and headers.get("attempt") == 1
    return is_first and not message.was_handed_out and headers.get("envelope-id") in envelopes


def _decided_with(link: DueLink) -> tuple[str, ...]:
    """Return what links have in common that are decided together: an order is one, a status is one for each document."""
    by_document = link.kind == LinkKind.STATUS or link.kind in ANSWERS
    return (link.envelope_id, link.kind, *((link.originator, link.document_id) if by_document else ()))


def _about(*found: Sequence[DeliveryRow]) -> dict[str, str]:
    """Return the envelope of each document, by document id: the newest, where it came in several."""
    return {copies[-1].document_id: copies[-1].envelope_id for copies in found}


def _of(rows: Iterable[DeliveryRow], offices: Collection[str]) -> list[DeliveryRow]:
    return [row for row in rows if row.addressee in offices]


def _copies_of(rows: Iterable[DeliveryRow], office: str, line: Collection[str]) -> list[DeliveryRow]:
    """Return the deliveries that are an office's affair: in its line, but what is held for another only if it has no other.

    Who else may get what is held is not decided yet: an order for who has a copy of its own is about that one.
    """
    own = _of(rows, line)
    settled = [row for row in own if row.addressee == office or State(row.state) is not State.HELD]
    return settled if any(State(row.state) is not State.FORWARDED for row in settled) else own


def _answered_for(rows: Sequence[DeliveryRow], office: str, line: Collection[str]) -> list[DeliveryRow]:
    """Return the deliveries that an office may report on: its own; without one, those it took over from who had them.

    What is held, or went to heirs by deliveries of their own, nobody has by the closed office.
    """
    inherited = [row for row in _of(rows, line) if State(row.state) not in (State.HELD, State.FORWARDED)]
    return _of(rows, {office}) or inherited


def _never_reached(row: DeliveryRow) -> bool:
    """Tell whether an addressee cannot have the document: it was never published to it, or it said no, or others got it."""
    state = State(row.state)
    return state in (State.REFUSED, State.FORWARDED) or (state is State.RECALLED and not row.attempts)
