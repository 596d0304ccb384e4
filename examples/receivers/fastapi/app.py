"""A receiver with FastAPI.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import asyncio
import os

from fastapi import FastAPI, Request, Response

from hooksync.receiver import Event, Receiver

MAX_BODY = 10 * 1024 * 1024  # bytes; a longer event is answered 413
LONGEST = 30  # seconds for a body; a slower one is answered 408

app = FastAPI(openapi_url=None)
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets)


async def work(event: Event) -> None:
    """Your code. Put long work into an Inbox. If this raises, the event is worked on again."""
    for entity in event.get("events", []):
        kind, reference = entity["entityType"], entity["entityRef"]
        print(event.get("trigger"), kind, reference, entity.get("identifiers"), flush=True)


@app.post("/hook")
async def hook(request: Request) -> Response:
    """Take what Preservica sends."""
    body = bytearray()
    try:
        async with asyncio.timeout(LONGEST):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY:
                    return Response(status_code=413)
    except TimeoutError:
        return Response(status_code=408)
    query: bytes = request.scope["query_string"]
    answer = await receiver.receive_async(request.method, query, request.headers, bytes(body), work)
    print(answer.status, answer.kind, answer.signed_with or answer.reason, flush=True)
    return Response(answer.body, answer.status, answer.headers)
