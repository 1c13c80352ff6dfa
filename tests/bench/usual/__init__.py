"""What a team would write instead: FastStream, signxml, xmlschema and SQLAlchemy, each as its manual shows it.

The yardstick of the row `usual`. The same work as our chain over the same
broker and the same kind of ledger: a sealed envelope and a file of 100 KiB to
one addressee, verified and validated by a router, three signed receipts home.
One commit for each message, publisher confirms, persistent messages in quorum
queues, an ack after the confirms of what a message led to.

    documents.py  sealing, verifying, validating: signxml and xmlschema
    ledger.py     what the router keeps: SQLAlchemy's ORM, asynchronous
    told.py       what each process is told
    wire.py       queues and the broker
    files.py      the client of the gateway: httpx
    gateway.py    files by digest: FastAPI under uvicorn
    router.py, addressee.py, originator.py   one FastStream application each
    measure.py    the row

It promises less than the axis: no outbox, no deadlines, no retry schedule, no
refusal that survives a crash, no metrics, no log of a document's way. Nothing
of `axis` is in it but the renderer of the letter, so that both carry the same
bytes, and the schemas.
"""
