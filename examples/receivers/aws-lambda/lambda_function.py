"""A receiver in AWS Lambda, behind a function URL or an HTTP API (payload format 2.0).

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import base64
import os
from typing import Any

try:
    from receiver import Event, Receiver  # hooksync/receiver.py, copied beside this file
except ImportError:
    from hooksync.receiver import Event, Receiver

# Events are remembered as long as this instance is warm. To remember them for certain, give
# Receiver a memory in a DynamoDB table: ../README.md shows its three conditional writes.
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets)


def work(event: Event) -> None:
    """Your code. Put long work into a queue. If this raises, the event is worked on again."""
    for entity in event.get("events", []):
        kind, reference = entity["entityType"], entity["entityRef"]
        print(event.get("trigger"), kind, reference, entity.get("identifiers"))


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, object]:
    """Take what Preservica sends."""
    method = event["requestContext"]["http"]["method"]
    sent = event.get("body", "")
    body = base64.b64decode(sent) if event.get("isBase64Encoded") else sent.encode()
    answer = receiver.receive(method, event["rawQueryString"], event["headers"], body, work)
    print(answer.status, answer.kind, answer.signed_with or answer.reason)
    return {"statusCode": answer.status, "headers": answer.headers, "body": answer.body.decode()}
