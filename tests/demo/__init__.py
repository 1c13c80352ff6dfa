"""The demonstration: a day of a province in a minute, on real processes.

`python -m tests.demo` starts a private broker, the axis, five offices and two
document systems, sends documents of every fate, and counts what became of them.
"""
