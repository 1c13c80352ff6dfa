"""Sender: goes through the feed for every webhook, tells what there is, and remembers how far each has been.

One process does this for all, by a lease in the ledger; any gateway may. A
webhook is moved on after its receiver has said yes: who dies in between, or is
stopped for longer than its lease lasts, makes a message be told twice, never
not at all.

Spec: docs/protocol/webhooks.md 6, 7; docs/adr/0020; design laws 3, 5.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from axis.clock import ALLOWANCE
from axis.dispatch.retry import RetrySchedule
from axis.ledger import Ledger, NotTold, Place, WebhookRow
from axis.telemetry import events, metrics
from axis.webhooks.messages import messages
from axis.webhooks.sending import Post, Told

WORK = "webhooks"
LEASE = timedelta(seconds=30)
_STRETCH = 20  # Events between two commits of how far a webhook has been: so many may be told twice.
_PAUSE_S = 1.0
_IDLE_COMMIT = timedelta(minutes=1)

_Key = tuple[str, str]
Doing = Literal["on", "failing", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How webhooks are told."""

    schedule: RetrySchedule
    give_up_after: timedelta  # Of nothing but failures.
    at_once: int  # Webhooks that are told at the same time.


@dataclass(slots=True, kw_only=True)
class Sender:
    """The sender of one process; `go_round` is called every second or so."""

    ledger: Ledger
    post: Post
    terms: Terms
    takes_part: Callable[[str], bool]  # Whether an office stands in the roll.
    name: str  # Of the process.
    now: Callable[[], datetime]
    _held_until: datetime | None = None
    _place: Place | None = None  # Up to here it is known whom the news concerns.
    _behind: set[_Key] = field(default_factory=set)  # Webhooks for which there may be something.
    _known: dict[_Key, WebhookRow] = field(default_factory=dict)  # As they stood when they had been told everything.
    _telling: dict[_Key, asyncio.Task[None]] = field(default_factory=dict)
    _idle_at: datetime | None = None

    async def go_round(self) -> bool:
        """Begin what there is to tell; False, because the next look may wait."""
        webhooks = await self.ledger.webhooks()
        self._show(webhooks)
        if not webhooks or not await self._holds():
            await self._stop_telling()
            return False
        now = self.now()
        webhooks = await self._set_right(webhooks, now)
        wanted = {one.key: one for one in webhooks if one.disabled_at is None and self.takes_part(one.office)}
        self._known = {key: one for key, one in self._known.items() if key in wanted}
        for key, one in wanted.items():
            if key not in self._telling and (key not in self._known or self._known[key].place != one.place):
                self._behind.add(key)  # It is new, was not taken, or was set back.
        await self._hear(wanted)
        for key in sorted(self._behind & set(wanted) - set(self._telling)):
            if len(self._telling) < self.terms.at_once and wanted[key].next_at <= now:
                self._begin(key)
        await self._commit_idle(wanted, now)
        return False

    async def finish(self) -> None:
        """Stop telling, and let another process do it at once."""
        await self._stop_telling()
        if self._held_until is not None:
            await self.ledger.let_go(WORK, self.name)

    async def _holds(self) -> bool:
        """Whether this process tells webhooks now; half a lease before its end it is renewed."""
        now = self.now()
        if self._held_until is not None and now < self._held_until - LEASE / 2:
            return True
        if not await self.ledger.hold(WORK, self.name, now, LEASE):
            self._held_until = self._place = None
            return False
        if self._held_until is None:  # Another has told them until now: each is looked at once.
            self._place = await self.ledger.feed_end()
            self._known, self._behind = {}, set()
        self._held_until = now + LEASE
        return True

    async def _set_right(self, webhooks: list[WebhookRow], now: datetime) -> list[WebhookRow]:
        """Find what a clock that was ahead has put off until it is that late; return webhooks as they stand then."""
        latest = now + self.terms.schedule.longest + ALLOWANCE
        if all(one.next_at <= latest or one.disabled_at is not None for one in webhooks):
            return webhooks
        events.clock_set_right(room="webhooks", moved=await self.ledger.bring_webhooks_near(now, latest))
        return await self.ledger.webhooks()

    async def _hear(self, wanted: Collection[_Key]) -> None:
        """Find the webhooks that the news concerns, those that are being told just now too."""
        assert self._place is not None  # noqa: S101 - Whoever holds the lease has one.
        self._behind &= set(wanted)
        while True:
            offices, place = await self.ledger.concerned(self._place)
            self._behind |= {key for key in wanted if key[0] in offices}
            if place == self._place:
                return
            self._place = place

    def _begin(self, key: _Key) -> None:
        self._behind.discard(key)  # News that come from here on put it back.
        task = asyncio.create_task(self._guarded(key))
        self._telling[key] = task
        task.add_done_callback(lambda _: self._telling.pop(key, None))

    async def _guarded(self, key: _Key) -> None:
        """Tell one webhook; whatever goes wrong is about this one, and it is looked at again."""
        try:
            webhook = await self.ledger.webhook(*key)  # As it stands now: it may have been told something meanwhile.
            if webhook is not None and webhook.disabled_at is None and webhook.next_at <= self.now():
                await self._tell_all(webhook)
        except Exception as error:
            self._known.pop(key, None)
            events.service_failed(name="webhooks", error=error)
            await asyncio.sleep(_PAUSE_S)

    async def _tell_all(self, webhook: WebhookRow) -> None:
        """Tell a webhook everything that there is for it, in order, until one is not taken."""
        while True:
            stretch = await self.ledger.events_for(webhook.office, webhook.place, _STRETCH, now=self.now())
            place, has_told = webhook.place, False
            for event in stretch.rows:
                for message in messages(event, webhook.office, webhook.kinds):
                    if self._held_until is None or self.now() >= self._held_until:
                        return  # It is another's to tell.
                    told = await self.post.tell(webhook.url, message, self._keys(webhook), self.now())
                    metrics.WEBHOOK_MESSAGES.labels("taken" if told.is_taken else "not_taken").inc()
                    if not told.is_taken:
                        await self._not_taken(webhook, place, told)
                        return
                    has_told = True
                place = Place(event["tx"], event["seq"])
            if not await self._move(webhook, stretch.until, has_told=has_told):
                return  # It was set back, changed or removed: the next round sees it as it is.
            webhook = replace(webhook, place=stretch.until)
            if stretch.is_end:
                self._known[webhook.key] = webhook
                return

    async def _move(self, webhook: WebhookRow, place: Place, *, has_told: bool) -> bool:
        """Put on record how far a webhook has been told; False if it stood elsewhere meanwhile."""
        if has_told:
            return await self.ledger.webhook_told(webhook, place, self.now())
        if place != webhook.place:
            await self.ledger.webhooks_had_no_news([webhook], place)
        return True

    async def _not_taken(self, webhook: WebhookRow, place: Place, told: Told) -> None:
        """Note that a message was not taken: it is told again later, or its webhook is given up."""
        now = self.now()
        if place != webhook.place:  # What stood before it was taken: it has not been failing for long.
            if not await self._move(webhook, place, has_told=True):
                return
            webhook = replace(webhook, place=place, failures=0, failing_since=None)
        is_the_end = told.is_the_end or now - (webhook.failing_since or now) >= self.terms.give_up_after
        wait = self.terms.schedule.wait(attempts=webhook.failures + 1, priority=0, draw=random.random())
        failure = NotTold(note=told.note, at=now, next_at=now + wait, is_the_end=is_the_end)
        if not await self.ledger.webhook_not_told(webhook, failure):
            return
        self._known.pop(webhook.key, None)
        if is_the_end:
            events.webhook_disabled(office=webhook.office, webhook=webhook.id, note=told.note)
            return
        failures = webhook.failures + 1
        events.webhook_put_off(office=webhook.office, webhook=webhook.id, note=told.note, failures=failures)

    def _keys(self, webhook: WebhookRow) -> list[str]:
        old_counts = webhook.old_until is not None and self.now() < webhook.old_until
        return [webhook.secret, *([webhook.old_secret] if webhook.old_secret and old_counts else [])]

    async def _commit_idle(self, wanted: dict[_Key, WebhookRow], now: datetime) -> None:
        """Move on, now and then, those that had no news: a process that begins anew need not read it all again."""
        place = self._place
        if place is None or (self._idle_at is not None and now - self._idle_at < _IDLE_COMMIT):
            return
        self._idle_at = now
        busy = self._behind | set(self._telling)
        idle = [one for key, one in wanted.items() if key in self._known and key not in busy and one.place < place]
        if idle:
            await self.ledger.webhooks_had_no_news(idle, place)
            self._known |= {one.key: replace(one, place=place) for one in idle}

    def _show(self, webhooks: list[WebhookRow]) -> None:
        counts = dict.fromkeys(get_args(Doing), 0)
        for one in webhooks:
            counts[state(one)] += 1
        for name, count in counts.items():
            metrics.WEBHOOKS.labels(name).set(count)

    async def _stop_telling(self) -> None:
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def state(webhook: WebhookRow) -> Doing:
    """Return how a webhook is doing."""
    if webhook.disabled_at is not None:
        return "disabled"
    return "failing" if webhook.failures else "on"
