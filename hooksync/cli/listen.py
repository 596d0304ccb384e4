"""The command `listen`: a receiver on this machine that shows each request, until a signal."""

from __future__ import annotations

import gc
import math
import threading
from contextlib import ExitStack

from hooksync.cli.terminal import catch_signals
from hooksync.commands.receiving import SecretOptions, find_secrets, open_receiver, receiver_at
from hooksync.core.clock import SYSTEM_CLOCK
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, StartError
from hooksync.receivers.http_server import PortError
from hooksync.receivers.listener import Listener, warn_unless_ready
from hooksync.receivers.suite import Sender

_PORT_FIX = "choose a different port with --port; 0 is any free one"


class ListenOptions(SecretOptions, frozen=True):
    """The flags of `listen`."""

    port: int = 0  # 0: any free one
    forward: str | None = None  # a URL
    record: str | None = None  # a folder; it is made if it does not exist
    shows_body: bool = False  # show the document of each event


def listen(options: ListenOptions, context: Context) -> ExitCode:
    """Receive events until a signal comes."""
    gc.enable()  # `main` turned it off for short runs, and this one is long
    known = find_secrets(options, context)
    first = known.accepted[0]
    done = threading.Event()
    with catch_signals(lambda _: done.set()), ExitStack() as running:
        target = None
        if options.forward:
            named = receiver_at(options.forward, known.accepted)
            opened = open_receiver(named, options, context)
            run, declared = running.enter_context(opened)
            target = Sender(declared.url, known.secrets[first], run.caller)
        try:
            listener = Listener(
                options.port,
                known,
                context,
                done,
                target=target,
                folder=options.record,
                shows_body=options.shows_body,
            )
        except PortError as error:
            raise StartError(Problem(str(error), _PORT_FIX)) from None
        running.enter_context(listener)
        context.terminal.message(
            f"listening on http://127.0.0.1:{listener.port}, challenges are answered with {first}"
        )
        if target:
            warn_unless_ready(target)
        SYSTEM_CLOCK.wait(done, math.inf)
    return ExitCode.DONE
