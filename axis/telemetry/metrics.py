"""Metrics: every series that the axis exports, declared in one place.

Labels come from closed sets, written beside the metric; an identifier is never
a label. Gauges are set from the ledger by `app`, not counted in the process,
so that several routers show the same picture.

Spec: Prometheus naming (base units, _total); docs/operations.md.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # When a counter began is nobody's question here, and doubles the series.

REGISTRY = CollectorRegistry()

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)

ENVELOPES_ACCEPTED = Counter(
    "axis_envelopes_accepted_total", "Envelopes in custody.", ["via"], registry=REGISTRY
)  # via: amqp, http
ENVELOPES_DUPLICATE = Counter(
    "axis_envelopes_duplicate_total", "Envelopes submitted again with the same content.", ["via"], registry=REGISTRY
)
ENVELOPES_REJECTED = Counter(
    "axis_envelopes_rejected_total", "Envelopes refused, by first code.", ["code"], registry=REGISTRY
)  # code: errors.CATALOGUE
ENVELOPES_PUT_BEHIND = Counter(
    "axis_envelopes_put_behind_total", "Envelopes beyond their office's allowance, judged later.", registry=REGISTRY
)
ATTEMPTS = Counter(
    "axis_attempts_total", "Attempts to deliver, by what came of them.", ["result"], registry=REGISTRY
)  # result: receipts.Level or unpublished, unanswered
FILES_ALONG = Counter(
    "axis_files_along_total",
    "Small files that went along in the message of their envelope.",
    ["way"],
    registry=REGISTRY,
)  # way: in, out
RECEIPTS_REFUSED = Counter(
    "axis_receipts_refused_total", "Receipts that were not accepted, by code.", ["code"], registry=REGISTRY
)
ACCEPTANCE_SECONDS = Histogram(
    "axis_acceptance_seconds",
    "From the first byte read to the commit that takes custody.",
    registry=REGISTRY,
    buckets=_SECONDS,
)
DELIVERY_SECONDS = Histogram(
    "axis_delivery_seconds",
    "From acceptance to the addressee's delivered receipt.",
    registry=REGISTRY,
    buckets=_SECONDS,
)
RECEIPT_SECONDS = Histogram(
    "axis_receipt_seconds", "From a receipt's signing to its commit in the ledger.", registry=REGISTRY, buckets=_SECONDS
)

DELIVERIES = Gauge(
    "axis_deliveries", "Deliveries by state.", ["state"], registry=REGISTRY
)  # state: dispatch.states.State
OLDEST_UNDELIVERED_SECONDS = Gauge(
    "axis_oldest_undelivered_seconds", "Age of the oldest delivery that waits.", ["priority"], registry=REGISTRY
)  # priority: 0-4
OUTBOX_LAG_SECONDS = Gauge("axis_outbox_lag_seconds", "Age of the oldest notice not yet published.", registry=REGISTRY)
REMINDERS = Counter(
    "axis_reminders_total", "Reminders of deadlines that addressees got.", ["what"], registry=REGISTRY
)  # what: soon, over
OVERDUE = Gauge(
    "axis_overdue", "Documents whose addressee is late with them, by what is late.", ["what"], registry=REGISTRY
)  # what: registered, done
DEAD_LETTERS = Gauge("axis_dead_letters", "Deliveries given up and waiting for a person.", registry=REGISTRY)
HELD = Gauge(
    "axis_held", "Deliveries to closed offices that wait for a word on who gets them instead.", registry=REGISTRY
)
SPOOL_BYTES = Gauge("axis_spool_bytes", "Bytes of attachments in the spool.", registry=REGISTRY)
CERTIFICATE_DAYS_LEFT = Gauge(
    "axis_certificate_days_left", "Days until the office's newest certificate expires.", ["office"], registry=REGISTRY
)  # office: the roll
GATEWAY_CERTIFICATE_DAYS_LEFT = Gauge(
    "axis_gateway_certificate_days_left",
    "Days until the certificate that the gateway shows expires.",
    registry=REGISTRY,
)
HTTP_REQUESTS = Counter(
    "axis_http_requests_total", "Requests to the gateway.", ["route", "status"], registry=REGISTRY
)  # route: path templates; status: 2xx..5xx
WEBHOOK_MESSAGES = Counter(
    "axis_webhook_messages_total", "Messages told to webhooks of offices.", ["result"], registry=REGISTRY
)  # result: taken, not_taken
WEBHOOKS = Gauge(
    "axis_webhooks", "Webhooks of offices, by how they are doing.", ["state"], registry=REGISTRY
)  # state: on, failing, disabled


def exposition() -> bytes:
    """Return all series in the Prometheus text format."""
    return generate_latest(REGISTRY)
