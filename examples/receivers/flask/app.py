"""A receiver with Flask.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import os

from flask import Flask, Response, request

from hooksync.receiver import Event, Receiver, SQLiteMemory

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 10 * 1024 * 1024  # bytes; a longer event is answered 413
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets, SQLiteMemory("events.sqlite"))  # which processes share


def work(event: Event) -> None:
    """Your code. Put long work into a queue. If this raises, the event is worked on again."""
    for entity in event.get("events", []):
        print(event.get("trigger"), entity["entityType"], entity["entityRef"], flush=True)


@app.post("/hook")
def hook() -> Response:
    """Take what Preservica sends."""
    headers, body = dict(request.headers), request.get_data()
    answer = receiver.receive(request.method, request.query_string, headers, body, work)
    print(answer.status, answer.kind, answer.signed_with or answer.reason, flush=True)
    return Response(answer.body, answer.status, answer.headers)
