"""Compat: the calls that document systems of the older axes already make, answered in their words.

    words     the tables: their numbers for our codes, their states, what updateStatus means
    bodies    what the answers hold
    caller    who calls
    form      edocFile out of the form that brings it
    routes    the calls

What they bring and are given is the same as over the other routes: one intake,
one inbox, one book. Reading removes nothing.

Spec: docs/protocol/compat.md; docs/adr/0026.
"""
