"""Growth: does a document cost more in a ledger that already holds a million?

The chain is measured in an empty ledger on PostgreSQL, the ledger is filled with
documents that have ended, and the chain is measured again. The goal: at most
1.2 times the processor time. What fills it is written by the database itself, row for row as the axis
leaves them, but with short envelopes and receipts: PostgreSQL keeps long values
beside the table, and only a look by key reads them.
"""

import asyncio
import time
from dataclasses import dataclass

from tests.bench import rows
from tests.bench.stand import Stand

DOCUMENTS = 1_000_000
_STEP = 50_000
_MEASURED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The chain, before and after."""

    documents: int
    filling_s: float
    ledger_mib: int
    empty: rows.Chain
    full: rows.Chain


async def measure(stand: Stand) -> Growth:
    """Measure, fill, measure."""
    assert stand.postgres is not None
    empty = await rows.chain(stand, _MEASURED, name="empty")
    began = time.monotonic()
    for first in range(0, DOCUMENTS, _STEP):
        stand.said(f"growth: {first:,} of {DOCUMENTS:,} documents in the ledger")
        await asyncio.to_thread(stand.postgres.run, stand.ledger_url, _FILL.format(first=first, last=first + _STEP - 1))
    for ended in ("VACUUM ANALYZE", "CHECKPOINT"):  # What filling has left to do is not what a document takes.
        await asyncio.to_thread(stand.postgres.run, stand.ledger_url, ended)
    filling_s = time.monotonic() - began
    await rows.warm(stand, "warm-again")
    full = await rows.chain(stand, _MEASURED, name="full")
    size = await asyncio.to_thread(stand.postgres.run, stand.ledger_url, "SELECT pg_database_size(current_database())")
    return Growth(
        documents=DOCUMENTS,
        filling_s=round(filling_s, 1),
        ledger_mib=round(int(size.split()[2]) / 1024**2),
        empty=empty,
        full=full,
    )


_FILL = """
BEGIN;
CREATE TEMP TABLE old ON COMMIT DROP AS
    SELECT n, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 14) AS id,
        md5('d' || n) || md5('e' || n) AS digest
    FROM generate_series({first}, {last}) n, LATERAL (SELECT now() - interval '300 days' + n * interval '25 seconds' AS at) moment;
INSERT INTO envelopes (id, originator, kind, document_id, business_type, digest, sealed_digest, code, subject,
        priority, via, accepted_at, expires_at, sealed)
    SELECT id, 'H56.05', 'document', 'H56.05,2025/01/02,' || n || '/CU', 0, digest, reverse(digest), n || '/CU',
        'V/v văn bản cũ số ' || n || ' (ví dụ)', 0, 'amqp', at, at + interval '5 days', decode(repeat('3c', 300), 'hex')
    FROM old;
INSERT INTO envelope_attachments (envelope_id, number, sha256, size_bytes, name, content_type)
    SELECT id, 1, md5('f' || n) || id, 102400, n || '.pdf', 'application/pdf' FROM old;
INSERT INTO uploads (office, sha256, size_bytes, at)
    SELECT 'H56.05', md5('f' || n) || id, 102400, at FROM old;
INSERT INTO deliveries (envelope_id, addressee, state, business, attempts, chain_head, priority, accepted_at,
        expires_at, updated_at)
    SELECT id, 'H56.112', 'delivered', 'registered', 1, md5('registered' || n) || id, 0, at, at + interval '5 days',
        at + interval '1 second'
    FROM old;
INSERT INTO receipts (digest, envelope_id, addressee, level, issuer, previous, at, xml)
    SELECT md5(level || n) || id, id, CASE WHEN level <> 'accepted' THEN 'H56.112' END, level,
        CASE WHEN level = 'accepted' THEN 'H56.TRUC' ELSE 'H56.112' END,
        CASE level WHEN 'delivered' THEN md5('accepted' || n) || id WHEN 'registered' THEN md5('delivered' || n) || id END,
        at, decode(repeat('3c', 200), 'hex')
    FROM old, unnest(ARRAY['accepted', 'delivered', 'registered']) level;
INSERT INTO events (envelope_id, addressee, event, at, detail)
    SELECT id, CASE WHEN event <> 'envelope.accepted' THEN 'H56.112' END, event, at, '{{"addressees": 1, "attempt": 1}}'
    FROM old, unnest(ARRAY['envelope.accepted', 'delivery.attempted', 'receipt.delivered', 'receipt.registered']) event;
COMMIT;
"""
