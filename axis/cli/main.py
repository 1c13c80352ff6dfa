"""`axis`: the root of the command line, in the order in which one meets the commands."""

import typer

from axis.cli import (
    audit,
    broker,
    deadletters,
    doctor,
    lint,
    office,
    offices,
    pki,
    route,
    seal,
    send,
    serve,
    track,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The document axis: signed official documents between the offices of a province.",
)

app.command("up")(serve.up)
app.command("router")(serve.router)
app.command("gateway")(serve.gateway)
app.add_typer(office.app, name="office")
app.command("send")(send.send)
app.command("track")(track.track)
app.command("lint")(lint.lint)
app.add_typer(seal.app, name="seal")
app.add_typer(pki.app, name="pki")
app.add_typer(offices.app, name="offices")
app.add_typer(route.app, name="route")
app.add_typer(broker.app, name="broker")
app.add_typer(deadletters.app, name="deadletters")
app.command("audit")(audit.audit)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    app()
