"""The backend for an object in S3, Azure or Google Cloud Storage, through the package obstore.

obstore itself reads credentials, proxies and endpoints from the environment of this process. Its
error texts contain URLs and responses, so they are redacted like any foreign text. Every write has
a condition on the object's version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from types import NoneType
from typing import Any

from hooksync.core.clock import run_with_timeout
from hooksync.core.errors import InvalidDocument, Problem, Refused, StateError, UsageError
from hooksync.core.record import Record
from hooksync.core.redaction import Redactor, printable
from hooksync.core.signing import parse_json
from hooksync.core.urls import is_plain_http
from hooksync.state.contract import MOST_BYTES, Changed, Content, too_large

# format of an object that contains a run lock; without a lock, the object is the state itself
_LOCKED_FORMAT = "hooksync.held/1"
# bytes; a state within JSON has its quotes and line ends escaped
_MOST_OF_AN_OBJECT = 2 * MOST_BYTES + 65536
_LIMIT = 60.0  # seconds for one read or write, with its log-in and its retries
_TIMES = {"timeout": "30s", "connect_timeout": "10s"}  # of a request
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_NAME = re.compile(r"[a-zA-Z0-9][\w.-]*(?:/(?!\.{1,2}(?:/|$))[^/?#\\\x00-\x1f\x7f]+)+", re.ASCII)
_PROBE = {
    "format": _LOCKED_FORMAT,
    "note": "written on a condition that does not hold: this server cannot keep a state",
}
_NO_BUCKET = ("<Code>NoSuchBucket</Code>", "<Code>ContainerNotFound</Code>")  # in responses


class _Cloud(Record, frozen=True):
    """The details in which one cloud differs from the others."""

    store: str  # name of obstore's class
    bucket: str  # the cloud's word for a bucket, for messages
    prefix: str  # of its environment variables
    endpoints: tuple[str, ...]  # variables that name a server; the first one that is set counts
    credentials: str  # how to set them, for messages
    permissions: str  # those that hooksync needs, for messages


_CLOUDS = {
    "s3": _Cloud(
        "S3Store",
        "bucket",
        "AWS_",
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of a profile, `aws configure"
        " export-credentials --format env`",
        "s3:GetObject and s3:PutObject on the object, s3:ListBucket on the bucket",
    ),
    "az": _Cloud(
        "AzureStore",
        "container",
        "AZURE_",
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; after `az login`,"
        " AZURE_USE_AZURE_CLI=true",
        "the role Storage Blob Data Contributor on the container",
    ),
    "gs": _Cloud(
        "GCSStore",
        "bucket",
        "GOOGLE_",
        ("GOOGLE_BASE_URL",),
        "GOOGLE_APPLICATION_CREDENTIALS (the file of a service account) or GOOGLE_BEARER_TOKEN",
        "the role Storage Object User on the bucket",
    ),
}


class CloudBackend:
    """An object that holds one content."""

    def __init__(self, where: str, environ: Mapping[str, str]) -> None:
        """`where`: `s3://BUCKET/KEY` and the like; `environ`: of this process.

        Raises UsageError for a wrong name.
        """
        self.where = where
        scheme, _, name = where.partition("://")
        self._cloud = _CLOUDS[scheme]
        if not _NAME.fullmatch(name):
            fix = (
                f"name it as {scheme}://{self._cloud.bucket.upper()}/KEY, e.g."
                f" {scheme}://museum/hooks.state.json"
            )
            raise UsageError(
                Problem(f'"{printable(where)}" does not name an object for a state', fix)
            )
        self._bucket, _, self._key = name.partition("/")
        self._environ = environ
        names = self._cloud.endpoints
        self._endpoint_name = next((name for name in names if environ.get(name)), names[0])
        self._endpoint = environ.get(self._endpoint_name, "")
        self._store: Any = None  # made when it is first needed

    def get(self) -> tuple[Content, str] | None:
        """Fetch the object and its version; None if it does not exist. Raises StateError."""
        try:
            data, version = self._call("read", self._read)
        except FileNotFoundError:
            return None
        return self._content(data), version

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Replace this version (None: there is none yet), and return the new version.

        `message` is not used. Raises Changed if the object has a different version, StateError, or
        Refused if the server ignores conditions.
        """
        text = content.state if content.lock is None else None
        if text is None:
            text = json.dumps(
                {"format": _LOCKED_FORMAT, "run_lock": content.lock, "state": content.state}
            )
        if version is None and self._endpoint:
            self._check_conditions()
        try:
            return self._write(text, json.loads(version) if version else "create")
        except FileNotFoundError:
            raise Changed from None  # somebody has deleted the object

    def _read(self, obstore: Any) -> tuple[bytes, str]:
        found = obstore.get(self._store, self._key)
        version = _version(found.meta)
        if version == "{}":
            fix = "keep the state on a server that gives each object an ETag"
            raise self._error("used", "the server returns no ETag", fix)
        data = b""
        for chunk in found.stream():  # a body may be larger than the reported size
            data += bytes(chunk)
            if len(data) > _MOST_OF_AN_OBJECT:
                raise too_large(self.where)
        return data, version

    def _write(self, text: str, mode: Any) -> str:
        more = {
            "mode": mode,
            "attributes": {"Content-Type": "application/json"},
            "use_multipart": False,
        }
        return _version(
            self._call(
                "written", lambda obs: obs.put(self._store, self._key, text.encode(), **more)
            )
        )

    def _check_conditions(self) -> None:
        """Raise Refused if the server does not support conditional writes, as some S3 servers."""
        try:
            self._write(json.dumps(_PROBE), {"e_tag": f'"{"0" * 32}"', "version": "1"})
        except (Changed, FileNotFoundError):
            return
        what = (
            f"the server of {self.where} does not support conditional writes: runs would overwrite"
            " each other"
        )
        raise Refused(
            Problem(
                what,
                f"keep the state elsewhere, and delete {self.where}, which contains only a test",
            )
        )

    def _call(self, what: str, do: Callable[[Any], Any]) -> Any:
        """Run `do` with obstore, within the time limit.

        `what`: a participle for messages. Raises Changed, StateError, or FileNotFoundError if there
        is no object.
        """
        try:
            return run_with_timeout(_LIMIT, lambda: do(self._obstore()))
        except TimeoutError:
            fix = "check the network, and run this again"
            raise self._error(what, "no answer in time", fix) from None
        except (StateError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic in obstore is no Exception
            failure = self._failure(what, error)
        raise failure

    def _obstore(self) -> Any:
        """Import obstore, and make the store of the bucket."""
        try:
            import obstore
            import obstore.store
        except ImportError:
            what = f"the state {self.where} needs the package obstore, which is not installed"
            fix = 'install the extra "cloud", as "Install" in README.md describes'
            raise StateError(Problem(what, fix)) from None
        if self._store is None:
            make = getattr(obstore.store, self._cloud.store)
            self._store = make(self._bucket, config=self._settings(), retry_config=_RETRIES)
        return obstore

    def _settings(self) -> dict[str, str]:
        """Return the settings of the store. Raises StateError for an endpoint that is not safe."""
        endpoint = self._endpoint
        allow = f"{self._cloud.prefix}ALLOW_HTTP"
        is_allowed = self._environ.get(allow, "").lower() in ("true", "1")
        if is_plain_http(endpoint) and not is_allowed:
            fix = f"use https, or set {allow}=true in a network that you trust"
            raise self._error("used", f"{self._endpoint_name} is plain http", fix)
        settings = dict(_TIMES)
        if endpoint.startswith("http:"):
            settings["allow_http"] = "true"
        return settings

    def _failure(self, what: str, error: BaseException) -> Exception:
        """Return the exception to raise for a failed read or write."""
        from obstore import exceptions

        cloud = self._cloud
        text = str(error)
        if any(code in text for code in _NO_BUCKET):
            reason = f"there is no {cloud.bucket} {self._bucket}"
            fix = f"create the {cloud.bucket}, or correct its name in --state"
            return self._error(what, reason, fix)
        if isinstance(error, FileNotFoundError):
            return error
        if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
            return Changed()
        summary, _, _ = text.partition("\n")
        reason = Redactor().quote(summary)
        fix = f"check the network, and the variables {cloud.prefix}*: {cloud.credentials}"
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            reason = f"access is denied: {reason}"
            fix = f"check the credentials; they need {cloud.permissions}"
        return self._error(what, reason, fix)

    def _content(self, data: bytes) -> Content:
        """Split the text of an object into the state and the run lock.

        A text without the lock's format counts as a state. If it is none, `read_state` says so.
        Raises StateError if a text with the lock's format is damaged, or a text is not UTF-8.
        """
        with suppress(ValueError, KeyError, TypeError, InvalidDocument):
            text = data.decode("utf-8-sig")
            if _LOCKED_FORMAT not in text[:64]:
                return Content(text)
            document = parse_json(text)
            if {type(document[name]) for name in ("state", "run_lock")} <= {str, NoneType}:
                return Content(document["state"], document["run_lock"])
        fix = (
            "restore an earlier version of the object; or delete it, and write a new one by an"
            " apply with `--adopt`"
        )
        raise StateError(Problem(f"{self.where} does not hold a whole state", fix))

    def _error(self, what: str, reason: str, fix: str) -> StateError:
        return StateError(Problem(f"the state {self.where} cannot be {what}: {reason}", fix))


def _version(meta: Mapping[str, Any]) -> str:
    """Return an object's ETag and version (Google: generation) as JSON, as far as it has them."""
    return json.dumps(
        {name: meta[name] for name in ("e_tag", "version") if meta.get(name) is not None}
    )
