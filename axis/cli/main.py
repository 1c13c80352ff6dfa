"""`axis`: the root of the command line, in the order in which one meets the commands.

A command's module is imported when the command is called: one that only looks
at a file starts without the libraries of those that serve.
"""

import os
import sys
from importlib import import_module

import typer

# Name of the command: its module in axis.cli, and what stands in the list of commands.
_COMMANDS = {
    "up": ("serve", "Run the whole axis on this machine: broker, router and gateway."),
    "router": ("serve", "Run a router: it takes envelopes and receipts from the broker and delivers."),
    "gateway": ("serve", "Run a gateway: HTTP for offices."),
    "office": ("office", "An office by an installed adapter: run, check."),
    "send": ("send", "Send a document, and show the signed answer."),
    "track": ("track", "Show where a document is, addressee by addressee."),
    "deadlines": (
        "deadlines",
        "What offices are to register or to be done with, by when; who is late, who is on time.",
    ),
    "lint": ("lint", "Check a file against the schema, the business rules and, with --trust, the seal."),
    "content": ("content", "The file of a dossier, a task or an invitation: show, ics."),
    "edxml": ("edxml", "Between the dialects of older systems and the one form: normalise, render."),
    "seal": ("seal", "Sign envelopes; check the seals of envelopes and receipts."),
    "receipt": ("receipt", "Sign receipts about what the inbox over HTTP shows."),
    "pki": ("pki", "Make a certificate authority; issue and revoke office certificates."),
    "offices": ("offices", "The roll of offices: list, check, load."),
    "route": ("route", "Where an envelope would go, and why."),
    "broker": ("broker", "Accounts of offices for a broker of one's own."),
    "deadletters": ("deadletters", "Deliveries that were given up: list, show, replay."),
    "passwords": ("passwords", "Passwords of systems that cannot sign: new, list, end."),
    "held": ("held", "Mail of closed offices that is held: list, forward, return."),
    "webhooks": ("webhooks", "Webhooks of offices: list, test."),
    "audit": ("audit", "Check that every accepted document has one end for each addressee, or a reason why it waits."),
    "backup": ("backup", "Copy ledger and attachments, while the axis runs, into a folder."),
    "restore": ("backup", "Make an axis from a backup, and say what lies between it and now."),
    "codes": ("codes", "What a code means, who must act, what happens next."),
    "flow": ("flow", "Business flows as files, played on a real axis with real offices: run, check."),
    "doctor": ("doctor", "Look at settings, trust, certificates, roll, ledger, spool and broker."),
}


def root(wanted: str | None = None) -> typer.Typer:
    """Return the command line.

    Args:
        wanted: The only command that will be called; None if any of them may be.
    """
    made = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="The document axis: signed official documents between the offices of a province.",
    )
    for name, (module, text) in _COMMANDS.items():
        if wanted not in (None, name):
            made.command(name, help=text)(_not_wanted)
            continue
        room = import_module(f"axis.cli.{module}")
        if hasattr(room, "app"):
            made.add_typer(room.app, name=name, help=text)
        else:
            made.command(name, short_help=text)(getattr(room, name))
    return made


def _not_wanted() -> None:
    """Stand in the list of commands for one that is not called."""
    raise AssertionError("another command was wanted")


def main() -> None:
    """Run the command line."""
    completing = "_AXIS_COMPLETE" in os.environ  # The shell asks about any of them.
    root(None if completing else next(iter(sys.argv[1:]), ""))()
