"""Metrics of an office's process: a registry of its own, served beside its health.

Gauges are read from the state when they are asked for. No label is an
identifier, but for the office's own code on `axis_office`.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

OFFICE = Gauge(
    "axis_office", "1; which office, adapter and version this is.", ["office", "adapter", "version"], registry=REGISTRY
)
ATTEMPTS = Counter(
    "axis_office_attempts_total", "Envelopes handed to the handler, by what came of it.", ["result"], registry=REGISTRY
)  # result: receipts.Level
ATTEMPT_SECONDS = Histogram(
    "axis_office_attempt_seconds",
    "From the message to the receipt on the disk.",
    registry=REGISTRY,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600),
)
RECEIPTS_SENT = Counter("axis_office_receipts_sent_total", "Receipts that the broker has confirmed.", registry=REGISTRY)
RECEIPTS_HEARD = Counter(
    "axis_office_receipts_heard_total", "Receipts of others that came, by level.", ["level"], registry=REGISTRY
)  # level: receipts.Level or invalid
SUBMISSIONS = Counter(
    "axis_office_submissions_total", "Submissions that ended.", ["state"], registry=REGISTRY
)  # state: accepted, rejected, failed
WAITING = Gauge(
    "axis_office_waiting", "What waits in the office's state.", ["what"], registry=REGISTRY
)  # what: unsent, untaken, unanswered, undecided
CERTIFICATE_DAYS_LEFT = Gauge(
    "axis_office_certificate_days_left", "Days until the office's certificate expires.", registry=REGISTRY
)


def exposition() -> bytes:
    """Return all series in the Prometheus text format."""
    return generate_latest(REGISTRY)
