"""pyPreservica's WebHookHandler, with what it lacks; `do_WORK` stays as it is.

HOOK_SECRET answers challenges and verifies events; during a rotation, HOOK_SECRET_OLD verifies
them, too.
"""

import os
import sys
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

from pyPreservica import WebHookHandler

from hooksync.receiver import Event, Receiver

# bytes; of a longer event no more is read, so that its signature is wrong
MAX_BODY = 10 * 1024 * 1024
secrets = {name: os.environ.get(name) for name in ("HOOK_SECRET", "HOOK_SECRET_OLD")}
receiver = Receiver("catalogue", secrets)


class GuardedHandler(WebHookHandler):
    """Signs no code that could forge an event, and takes two secrets and unchunked bodies."""

    timeout = 30  # seconds without a byte, before the connection is closed

    def do_POST(self) -> None:  # noqa: N802  the name is BaseHTTPRequestHandler's
        """Take what Preservica sends."""
        try:
            query, body = urlsplit(self.path).query, self.read_body()
            answer = receiver.receive("POST", query, self.headers, body, self.do_WORK)
        except Exception:
            self.send_error(500)
            raise
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        print(answer.status, answer.kind, answer.signed_with or answer.reason, flush=True)

    def read_body(self) -> bytes:
        """Read a body with or without chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(
                max(0, min(MAX_BODY, int(self.headers.get("Content-Length", 0))))
            )
        body = b""
        while 0 < (size := int(self.rfile.readline(20), 16)) <= MAX_BODY - len(body):
            body += self.rfile.read(size)
            self.rfile.readline(20)
        return body

    def do_WORK(self, event: Event) -> None:  # noqa: N802  the name is pyPreservica's
        """Your code. Put long work into an Inbox. If this raises, the event is worked on again."""
        for entity in event.get("events", []):
            kind, reference = entity["entityType"], entity["entityRef"]
            print(event.get("trigger"), kind, reference, entity.get("identifiers"), flush=True)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    with ThreadingHTTPServer((host, int(port)), GuardedHandler) as server:
        print(f"listening on http://{host}:{server.server_port}", flush=True)
        server.serve_forever()
