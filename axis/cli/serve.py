"""`axis up`, `axis router`, `axis gateway`: the long-running processes."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

import typer
import uvloop

from axis import app as processes
from axis import garbage, turns
from axis.cancelling import cancelled_by_sigterm
from axis.cli import options, output
from axis.settings import Settings
from axis.telemetry import events


def up(
    data: options.Data = None,
    routers: Annotated[
        int, typer.Option(min=1, max=64, help="Above 1: so many routers, each a process. Needs a ledger in PostgreSQL.")
    ] = 1,
) -> None:
    """Run the whole axis on this machine: broker, router and gateway.

    Starts a private RabbitMQ node unless AXIS_BROKER_URL is given; SQLite and a local folder unless AXIS_LEDGER_URL
    and AXIS_SPOOL_URL are. Ends in order on Ctrl-C or SIGTERM. A router of its own process that dies is started again.

    Example: axis up --data var/axis

    Example: AXIS_LEDGER_URL=postgresql:///axis axis up --routers 4
    """
    _serve("up", data, partial(processes.run_everything, routers=routers))


def router(
    data: options.Data = None,
    with_parent: Annotated[
        bool,
        typer.Option("--with-parent", help="End, in order, when standard input ends: for a program that started it."),
    ] = False,
) -> None:
    """Run a router: it takes envelopes and receipts from the broker and delivers. Any number may run.

    Example: AXIS_LEDGER_URL=postgresql://axis@db/axis AXIS_BROKER_URL=amqp://axis@mq/ axis router
    """
    _serve("router", data, partial(processes.run_router, with_parent=with_parent))


def gateway(data: options.Data = None) -> None:
    """Run a gateway: HTTP for offices. Any number may run.

    Example: AXIS_GATEWAY__PORT=8700 axis gateway
    """
    _serve("gateway", data, processes.run_gateway)


def _serve(
    name: str,
    data: options.Data,
    process: Callable[[Settings, Callable[[str], None]], Coroutine[Any, Any, None]],
) -> None:
    async def work() -> None:
        settings = options.settings(data)
        as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
        events.configure(level=settings.log_level, json=as_json, service=name)
        garbage.look_seldom()
        turns.interrupt_nobody()
        # Once it is ready, `until_stopped` listens instead; before, a broker that was started on the way would outlive it.
        is_told = cancelled_by_sigterm()
        try:
            await process(settings, lambda text: output.console.print(text, markup=False))
        except asyncio.CancelledError:
            if not is_told():
                raise
            output.stop("Đã dừng khi chưa khởi động xong / Ended before it was ready", 0)

    output.run(work(), loop_factory=uvloop.new_event_loop)
