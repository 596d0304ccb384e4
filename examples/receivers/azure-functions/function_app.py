"""A receiver in Azure Functions, by the Python v2 programming model.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import logging
import os
from urllib.parse import urlencode

import azure.functions as func

try:
    from receiver import Event, Receiver  # hooksync/receiver.py, copied beside this file
except ImportError:
    from hooksync.receiver import Event, Receiver

# the URL needs ?code=KEY: declare it as ${FN_KEY}
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
# Events are remembered as long as this instance runs. To remember them for certain, give Receiver a
# memory in a store that instances share: ../README.md describes it.
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets)


def work(event: Event) -> None:
    """Your code. Put long work into a queue. If this raises, the event is worked on again."""
    for entity in event.get("events", []):
        logging.info("%s %s %s", event.get("trigger"), entity["entityType"], entity["entityRef"])


@app.route(route="hook", methods=["POST"])
def hook(request: func.HttpRequest) -> func.HttpResponse:
    """Take what Preservica sends."""
    query = urlencode(dict(request.params))
    answer = receiver.receive(request.method, query, request.headers, request.get_body(), work)
    logging.info("%d %s %s", answer.status, answer.kind, answer.signed_with or answer.reason)
    return func.HttpResponse(answer.body, status_code=answer.status, headers=answer.headers)
