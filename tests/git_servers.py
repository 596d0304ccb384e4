"""Remote Git repositories for tests. They are bare, and reached by path or over HTTP, where `git
http-backend` serves them.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import running

USER = "archivist"
PASSWORD = "git-password-of-the-tests"
BRANCH = "hooksync-state"


def missing_program() -> str | None:
    """Return which program is missing. Return None if none is, or if HOOKSYNC_TEST_ALL is set: then
    tests fail without it.
    """
    if os.environ.get("HOOKSYNC_TEST_ALL"):
        return None
    if shutil.which("git") is None:
        return "git is not installed"
    exec_path = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return (
        None
        if (Path(exec_path) / "git-http-backend").exists()
        else "git http-backend is not installed"
    )


def commit(text: str) -> str:
    """Return the input with which `git fast-import` commits a hooks file on `main`."""
    who = "committer Ada <ada@example.org> 1700000000 +0000"
    file = f"M 100644 inline hooks.yaml\ndata {len(text)}\n{text}"
    return f"commit refs/heads/main\n{who}\ndata 13\nDeclare hooks{file}\n"


class Remote:
    """A bare repository with two commits on `main`, and clones of it. The Git settings of this
    machine have no effect.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "remote.git"
        self.url = str(self.path)
        self.environ = {  # for every program that uses the repository
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        (folder / "home").mkdir()
        self.git(
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--initial-branch=main",
            str(self.path),
            at=folder,
        )
        with (self.path / "config").open("a", encoding="utf-8") as config:
            config.write("[http]\n\treceivepack = true\n")
        self.git(
            "fast-import",
            "--quiet",
            data="".join(map(commit, ("version: 1\n", "version: 1\ntenancies: {}\n"))),
        )

    def git(self, *arguments: str, at: Path | None = None, data: str = "") -> str:
        """Run git in the remote repository, or in the folder `at`."""
        command = ["git", "-C", str(at or self.path), *arguments]
        done = subprocess.run(
            command,
            input=data,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self, name: str, *options: str) -> Path:
        """Clone the repository, as a user or a CI job does."""
        is_whole = "://" in self.url or not {"--depth=1", "--filter=blob:none"} & {*options}
        # for a plain path, git ignores these options and copies everything
        source = self.url if is_whole else f"file://{self.path}"
        self.git("clone", "--quiet", *options, source, str(self.folder / name), at=self.folder)
        if not is_whole:
            self.git("config", "remote.origin.url", self.url, at=self.folder / name)
        return self.folder / name

    def decline(self) -> None:
        """Let the server refuse each push, as for a protected branch."""
        hook = self.path / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        script = "#!/bin/sh\necho 'GL-HOOK-ERR: no pushing here' >&2\nexit 1\n"
        hook.write_text(script, encoding="utf-8")
        hook.chmod(0o755)

    def head(self, branch: str = BRANCH) -> str:
        return self.git("rev-parse", branch)

    def log(self, branch: str = BRANCH) -> list[str]:
        """Return the subjects of a branch's commits, the oldest first."""
        return self.git("log", "--reverse", "--format=%s", branch).splitlines()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Bridge)
        self.root = root
        self.environ = environ


class _Bridge(BaseHTTPRequestHandler):
    """Passes each request with the right password, of any user, to `git http-backend`, as a web
    server does by CGI.
    """

    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self._body()
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(given).decode().partition(":")
        if password != PASSWORD:
            self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        place = urlsplit(self.path)
        environ = self.server.environ | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": place.path,
            "QUERY_STRING": place.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": user,
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environ, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = [
            (name, value.strip())
            for name, _, value in (line.partition(":") for line in head.decode().split("\r\n"))
        ]
        status = int(dict(headers).get("Status", "200").split()[0])
        self._answer(status, [each for each in headers if each[0] != "Status"], answer)

    do_POST = do_GET  # noqa: N815  named by the library

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served(remote: Remote) -> Iterator[None]:
    """Serve a repository over HTTP to clients with PASSWORD. Its URL contains no password."""
    server = _Server(remote.path.parent, remote.environ)
    with running(server):
        former = remote.url
        remote.url = f"http://127.0.0.1:{server.server_port}/{remote.path.name}"
        log_in(remote, PASSWORD)
        try:
            yield
        finally:
            remote.url = former


def log_in(remote: Remote, password: str) -> None:
    """Configure the user's git with a password for the served repository."""
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = Path(remote.environ["HOME"]) / ".gitconfig"
    place = remote.url.removesuffix(remote.path.name)
    config.write_text(
        f'[http "{place}"]\n\textraHeader = Authorization: Basic {token}\n', encoding="utf-8"
    )
