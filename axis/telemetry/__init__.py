"""TELEMETRY: what a person or a program watching the axis sees of it.

`events` has one function per log event, `metrics` the Prometheus series,
`health` the small HTTP server of processes that have no other. None of them
ever carries the content of a document, a key or personal particulars.
"""
