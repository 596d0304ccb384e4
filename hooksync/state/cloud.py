"""The backend for an object in S3, Azure or Google Cloud Storage, through the package obstore.

obstore itself reads credentials, proxies and endpoints from the environment of this process. Its
error texts contain URLs and responses, so they are redacted like any foreign text. Every write has
a condition on the object's version. obstore reads the body of an error without a limit, so a call
that takes too much memory is cancelled.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from hooksync.core.clock import run_with_timeout
from hooksync.core.errors import InvalidDocument, Refused, StateError, UsageError
from hooksync.core.record import asdict, convert
from hooksync.core.redaction import Redactor
from hooksync.core.signing import parse_document
from hooksync.state.contract import MOST_BYTES, BackendData, Changed, VersionedData, too_large

# bytes; a state within JSON has its quotes and line ends escaped
_MOST_OF_AN_OBJECT = 2 * MOST_BYTES + 65536
_LIMIT = 60.0  # seconds for one read or write, with its log-in and its retries
_MOST_MEMORY = 512 * 1024 * 1024  # bytes by which this process may grow during one of them
_CHECK_INTERVAL = 0.05  # seconds
_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; of the peak that systems report
_TIMES = {"timeout": "30s", "connect_timeout": "10s"}  # of a request
_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_NAME = re.compile(r"[a-zA-Z0-9][\w.-]*(?:/(?!\.{1,2}(?:/|$))[^/?#\\\x00-\x1f\x7f]+)+", re.ASCII)
_PROBE = "written on a condition that does not hold: this server cannot keep a state"
_NO_BUCKET = ("<Code>NoSuchBucket</Code>", "<Code>ContainerNotFound</Code>")  # in responses
_FORMAT = "hooksync.held/1"
_WAY_OUT = (
    "restore an earlier version of the object; or delete it, and write a new one by an apply with"
    " `--adopt`"
)


# by scheme: the name of obstore's class, the prefix of its environment variables, and how to set
# them, with the permissions that hooksync needs
_CLOUDS = {
    "s3": (
        "S3Store",
        "AWS_",
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of a profile, `aws configure"
        " export-credentials --format env`. They need s3:GetObject and s3:PutObject on the object,"
        " s3:ListBucket on the bucket",
    ),
    "az": (
        "AzureStore",
        "AZURE_",
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; after `az login`,"
        " AZURE_USE_AZURE_CLI=true. They need the role Storage Blob Data Contributor on the"
        " container",
    ),
    "gs": (
        "GCSStore",
        "GOOGLE_",
        "GOOGLE_APPLICATION_CREDENTIALS (the file of a service account) or GOOGLE_BEARER_TOKEN."
        " They need the role Storage Object User on the bucket",
    ),
}


class CloudBackend:
    """An object that holds one content as JSON. Its version is its ETag, with its generation."""

    def __init__(self, where: str) -> None:
        """`where`: the name of an object, e.g. `s3://BUCKET/KEY`. Raises UsageError."""
        self.where = where
        scheme, _, name = where.partition("://")
        if scheme not in _CLOUDS or not _NAME.fullmatch(name):
            raise UsageError(
                f'"{Redactor().quote(where)}" does not name a place for a state',
                "write git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY, gs://BUCKET/KEY, or a path",
            )
        self._class, self._prefix, self._credentials = _CLOUDS[scheme]
        self._bucket, _, self._key = name.partition("/")
        self._store: Any = None  # made when it is first needed

    def get(self) -> VersionedData:
        """Fetch the object and its version; None: it does not exist. Raises StateError."""
        try:
            data, version = self._call("read", self._read)
        except FileNotFoundError:
            return BackendData(), None
        with suppress(ValueError, InvalidDocument):
            document = parse_document(data.decode(), _FORMAT)
            del document["format"]
            return convert(document, BackendData), version
        raise StateError(f"{self.where} does not hold a whole state", _WAY_OUT)

    def put(self, content: BackendData, version: Any, message: str) -> Any:
        """Replace this version, and return the new version. `message` is not used.

        Raises Changed if the object has a different version, StateError, or Refused if the server
        ignores conditions, as some S3 servers do.
        """
        try:
            if version is None:
                with suppress(Changed, FileNotFoundError):
                    self._write(json.dumps(_PROBE), {"e_tag": f'"{"0" * 32}"', "version": "1"})
                    what = f"the server of {self.where} does not support conditional writes"
                    raise Refused(
                        f"{what}: runs would overwrite each other",
                        f"keep the state elsewhere, and delete {self.where}, which contains only a"
                        " test",
                    )
            text = json.dumps({"format": _FORMAT, **asdict(content)})
            return self._write(text, version or "create")
        except FileNotFoundError:  # somebody has deleted the object
            raise Changed(self.where) from None

    async def _read(self, obstore: Any) -> tuple[bytes, Any]:
        """Read the object and its version."""
        found = await obstore.get_async(self._store, self._key)
        data = b""
        async for chunk in found.stream():  # a body may be larger than the reported size
            data += bytes(chunk)
            if len(data) > _MOST_OF_AN_OBJECT:
                raise too_large(self.where)
        return data, _version(found.meta)

    def _write(self, text: str, mode: Any) -> Any:
        """Write the object. `mode`: the version that it replaces, or that it must be new."""

        async def put(obstore: Any) -> Any:
            found = await obstore.put_async(
                self._store,
                self._key,
                text.encode(),
                mode=mode,
                attributes={"Content-Type": "application/json"},
                use_multipart=False,
            )
            return _version(found)

        return self._call("written", put)

    def _call(self, what: str, do: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run `do` with obstore, within the limits of time and memory.

        `what`: a participle for messages. Raises Changed, StateError, or FileNotFoundError if there
        is no object.
        """
        try:
            import obstore
            from obstore import exceptions, store
        except ImportError:
            reason = f"the state {self.where} needs the package obstore, which is not installed"
            raise StateError(
                reason, 'install the extra "cloud", as "Install" in README.md describes'
            ) from None
        try:
            if self._store is None:
                make = getattr(store, self._class)
                self._store = make(self._bucket, config=_TIMES, retry_config=_RETRIES)
            # in a thread: the program that uses the library may have a loop of its own in this one
            return run_with_timeout(_LIMIT, partial(asyncio.run, _limited(do(obstore))))
        except (StateError, KeyboardInterrupt):
            raise
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise Changed(self.where) from None
        except BaseException as error:  # a panic in obstore is no Exception
            text = str(error)
            reason = Redactor().quote(text.partition("\n")[0])
            if any(code in text for code in _NO_BUCKET):
                reason = f"{self._bucket} does not exist: create it"
            elif isinstance(error, FileNotFoundError):
                raise
        http = f"a server without https needs {self._prefix}ALLOW_HTTP=true"
        raise StateError(
            f"the state {self.where} cannot be {what}: {reason}",
            f"check the network, and the variables {self._prefix}*: {self._credentials}; {http}",
        )


async def _limited(call: Awaitable[Any]) -> Any:
    """Return the result of a call. Raises MemoryError if it takes too much memory.

    `asyncio.run` then cancels the call, which closes its connection.
    """
    task = asyncio.ensure_future(call)
    most = _peak_memory() + _MOST_MEMORY
    while not task.done():
        await asyncio.wait([task], timeout=_CHECK_INTERVAL)
        if _peak_memory() > most:
            raise MemoryError("the answer is too large")
    return task.result()


def _peak_memory() -> int:
    """Return the most bytes that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MEMORY_UNIT


def _version(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's ETag and version (Google: generation), as far as it has them."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name]}
