"""Call a function as its cloud does: `python cloud.py lambda-url|api-gateway FILE` serves the
function on 127.0.0.1.

This program replaces the front ends of AWS, which cannot run here. It needs only the standard
library, so a function runs with nothing installed. The requests and answers have the documented
shapes: payload format 2.0, https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html and
  https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
  (names of headers in lower case, several values of one header joined by commas, and a body that is
  not text in base64).
"""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LARGEST = 6 * 1024 * 1024  # bytes of what a function is called with
Answer = tuple[int, Mapping[str, str], bytes]
Invoke = Callable[[BaseHTTPRequestHandler, bytes], Answer]


def load(path: Path) -> ModuleType:
    """Load the file of a function, which may import other files of its folder."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def invoke_aws(
    module: Any, stage: str, is_base64: bool, request: BaseHTTPRequestHandler, body: bytes
) -> Answer:
    """Call `lambda_handler` with an event of payload format 2.0.

    `stage`: part of the path, unless it is `$default`.
    """
    url = urlsplit(request.path)
    path = url.path if stage == "$default" else f"/{stage}{url.path}"
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    event = {
        "version": "2.0",
        "routeKey": "$default" if stage == "$default" else f"{request.command} {url.path}",
        "rawPath": path,
        "rawQueryString": url.query,
        "headers": {
            name.lower(): ",".join(request.headers.get_all(name, []))
            for name in dict.fromkeys(request.headers.keys())
        },
        **({"queryStringParameters": query} if query else {}),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "r3pmxmplak",
            "domainName": "r3pmxmplak.lambda-url.us-east-2.on.aws",
            "domainPrefix": "r3pmxmplak",
            "http": {
                "method": request.command,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": stage,
            "time": "10/Mar/2020:05:16:23 +0000",
            "timeEpoch": 1583817383220,
        },
        **({"body": (base64.b64encode(body) if is_base64 else body).decode()} if body else {}),
        "isBase64Encoded": is_base64 and bool(body),
    }
    if len(json.dumps(event)) > LARGEST:
        return 413, {}, b"Request Entity Too Large"
    answer = module.lambda_handler(event, None)
    return answer["statusCode"], answer["headers"], answer["body"].encode()


class FrontEnd(BaseHTTPRequestHandler):
    """The front end of a function: reads a whole request, and answers 502 if the function fails."""

    invoke: Invoke

    def do_POST(self) -> None:
        try:
            status, headers, body = type(self).invoke(self, self.read_body())
        except Exception:
            traceback.print_exc()
            status, headers, body = 502, {}, b"Internal Server Error"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


def main(kind: str, path: str) -> None:
    module = load(Path(path))
    is_url = kind == "lambda-url"
    FrontEnd.invoke = partial(invoke_aws, module, "$default" if is_url else "prod", is_url)
    with ThreadingHTTPServer(("127.0.0.1", 0), FrontEnd) as server:
        sys.stdout.write(f"listening on http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
