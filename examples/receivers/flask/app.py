"""A receiver with Flask. It stores each event, answers 200, and works on the event afterwards.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import atexit
import os
import threading
from pathlib import Path

from flask import Flask, Response, request

from hooksync.receiver import Event, Inbox, Receiver

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 10 * 1024 * 1024  # bytes; a longer event is answered 413
inbox = Inbox(str(Path(__file__).with_name("events.sqlite")))  # which processes share
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets, inbox=inbox)


def work(event: Event) -> None:
    """Your code. If this raises, the event is worked on again: after 1 s, 4 s, 16 s, ..."""
    for entity in event.get("events", []):
        kind, reference = entity["entityType"], entity["entityRef"]
        print(event.get("trigger"), kind, reference, entity.get("identifiers"), flush=True)


@app.post("/hook")
def hook() -> Response:
    """Take what Preservica sends."""
    headers, body = dict(request.headers), request.get_data()
    answer = receiver.receive(request.method, request.query_string, headers, body)
    print(answer.status, answer.kind, answer.signed_with or answer.reason, flush=True)
    return Response(answer.body, answer.status, answer.headers)


stop = threading.Event()
worker = threading.Thread(target=inbox.run, args=(work, stop), daemon=True)
worker.start()


@atexit.register
def finish() -> None:
    """Let a stop wait for the event at work."""
    stop.set()
    worker.join()
