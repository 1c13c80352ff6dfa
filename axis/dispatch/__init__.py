"""THE CLOCK (room 8): from custody to the addressee's inbox, and what comes back.

`states` is the table of what may happen to a delivery, `retry` the schedule of
waits, `outbound` publishes what is due, `answers` takes receipts in, `succession`
decides on what is held for closed offices, and `clock` runs the loops. The ledger
is the truth; the broker only rings.
"""
