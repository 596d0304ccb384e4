"""A client that does the least: subscribes by bytes made beforehand, over bare sockets, in as many threads as asked.

It tells what a sandbox, and the machine with it, can do at all. `python -m tests.bench.raw_client URL COUNT WIDTH`.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.parse
import urllib.request
from urllib.parse import urlsplit

from tests.bench.measure import SECRET
from tests.bench.workload import TENANT, WIRE_TRIGGER, url_of
from tests.command_line import PASSWORD, USERNAME


def log_in(base_url: str) -> str:
    """Log in and give the token."""
    form = {"username": USERNAME, "password": PASSWORD, "tenant": TENANT}
    data = urllib.parse.urlencode(form).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{base_url}/api/accesstoken/login", data, timeout=30) as answer:
        return str(json.load(answer)["token"])


def subscribe(base_url: str, token: str, numbers: range) -> None:
    """Make subscriptions one after another on one connection. Raises RuntimeError for any answer but 200."""
    parts = urlsplit(base_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in numbers:
            connection.sendall(request(parts.netloc, token, number))
            answer = _read(connection)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"a subscribe was answered with {answer[:200]!r}")


def request(host: str, token: str, number: int) -> bytes:
    """Write a request as it goes out."""
    wanted = {"url": url_of(number), "triggerType": WIRE_TRIGGER, "secret": SECRET, "includeIdentifiers": "true"}
    body = json.dumps(wanted)
    return (
        f"POST /api/webhook/subscriptions HTTP/1.1\r\nHost: {host}\r\nPreservica-Access-Token: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _read(connection: socket.socket) -> bytes:
    """Read one answer whole."""
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]):
            return data
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the sandbox closed a connection")
        data += more


def main(base_url: str, count: int, width: int) -> None:
    """Subscribe side by side; fails when any thread did."""
    token = log_in(base_url)
    failures: list[Exception] = []

    def work(numbers: range) -> None:
        try:
            subscribe(base_url, token, numbers)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(range(first, count, width),)) for first in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
