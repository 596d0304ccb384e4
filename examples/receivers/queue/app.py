"""A receiver with a queue: it answers at once, and worker.py does the work.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import os

from event_queue import Queue
from flask import Flask, Response, request

from hooksync.receiver import Receiver

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 10 * 1024 * 1024  # bytes; a longer event is answered 413
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets)
queue = Queue()


@app.post("/hook")
def hook() -> Response:
    """Take what Preservica sends; 200 means that the event is in the queue."""
    headers, body = dict(request.headers), request.get_data()
    answer = receiver.receive(request.method, request.query_string, headers, body, queue.put)
    print(answer.status, answer.kind, answer.signed_with or answer.reason, flush=True)
    return Response(answer.body, answer.status, answer.headers)
