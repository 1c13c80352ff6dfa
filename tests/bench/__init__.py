"""Measurements of the axis as it runs: `make bench`, explained in docs/performance.md.

Nothing here judges: a figure is a figure of the machine it was taken on. What
can be compared is what was taken in one run.
"""
