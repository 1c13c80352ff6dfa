"""Faults: real processes under load, killed, stopped and robbed of their broker; then the books are compared."""
