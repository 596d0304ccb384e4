"""A policy: what hooks files may name. It is kept where whoever edits them cannot change it, and reads nothing of them.

A host is judged in the form in which it is called, whatever its spelling; one that another program might read in
another way is allowed by no policy. Nothing is looked up, called or read for it but the links that lead to a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from hooksync.config.declarations import TenancyDeclaration, Written, named_by
from hooksync.config.files import lies_in, read_settings
from hooksync.config.yaml_loader import read_yaml
from hooksync.core import urls
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import CredentialRefs, Location, SecretRef
from hooksync.core.record import Record, given_fields
from hooksync.core.schema import read_schema, schema_check
from hooksync.core.template import parse_template


class Policy(Record, frozen=True):
    """What hooks files may name."""

    file: str
    lines: Mapping[str, int]  # where its fields stand
    servers: tuple[str, ...] | None = None  # globs of hosts; None: any
    receivers: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None  # globs of names; None: any
    secret_folders: tuple[str, ...] | None = None  # None: any
    keyring_services: tuple[str, ...] | None = None  # globs of services in the keyring; None: any
    allow_commands: bool = False
    allow_http: bool = False
    allow_private_receivers: bool = False

    def breaches(
        self, tenancies: Sequence[TenancyDeclaration], environ: Mapping[str, str] | None = None, login: str = ""
    ) -> Iterator[Problem]:
        """Find what the policy does not allow. `environ`: to fill texts in with; None: as far as they are written.

        `login`: path of a file that was found and gives what a tenancy does not say of its log-in, as if named there.
        """
        usual = CredentialRefs()
        for tenancy in tenancies:
            settings, (variables, refs) = tenancy.settings, named_by(tenancy)
            given = settings.credentials
            if login and (given.username == usual.username or given.password == usual.password):
                refs.append(SecretRef("file", login, tenancy.location))
            server = settings.server or Written(parse_template("${PRESERVICA_SERVER}"), tenancy.location)
            text, subject = server.judged("the server", environ)
            if not urls.server_fault(text):
                yield from self._host("servers", urls.server_url(text), subject, server)
            if settings.allow_http and not self.allow_http:
                what = f'tenancy "{tenancy.name}" says `allow_http: true`'
                yield self._problem("allow_http", what, tenancy.location)
            for entry in tenancy.subscriptions:
                yield from self._host("receivers", *entry.url.judged("the URL", environ), entry.url)
            for name, where in variables if self.environment is not None else ():
                if not any(fnmatchcase(name, glob) for glob in self.environment or ()):
                    yield self._problem("environment", f"this names the variable {name}", where)
            refused = {ref: breach for ref in {*refs} if (breach := self._breach_of(ref))}
            yield from (self._problem(*refused[ref], ref.location) for ref in refs if ref in refused)

    def _breach_of(self, ref: SecretRef) -> tuple[str, str] | None:
        """Judge where a secret is found besides variables; returns the field that does not allow it, and what it is."""
        folders, services = self.secret_folders, self.keyring_services
        match ref.kind:
            case "file" if folders is not None and not any(lies_in(ref, each, self.file) for each in folders):
                return "secret_folders", f"{ref} leads to a folder"
            case "command" if not self.allow_commands:
                return "allow_commands", f"{ref} runs a program"
            case "keyring" if services is not None and not any(fnmatchcase(ref.parts[0], each) for each in services):
                return "keyring_services", f"{ref} names a service"
        return None

    def _host(self, field: str, url: str, subject: str, written: Written) -> Iterator[Problem]:
        globs: tuple[str, ...] | None = getattr(self, field)
        scheme, netloc, _ = urls.split_url(url)
        if globs is None or urls.OPEN in scheme + netloc or scheme not in urls.DEFAULT_PORTS:
            return  # not known yet, or no URL: that is told elsewhere
        if not _is_allowed(netloc, urls.DEFAULT_PORTS[scheme], globs):
            shown = netloc if netloc in written.template.text else "a host"  # what was filled in may be a secret
            yield self._problem(field, f"{subject} leads to {shown}", written.location)

    def _problem(self, field: str, what: str, where: Location | None) -> Problem:
        line = f":{self.lines[field]}" if field in self.lines else ""
        fix = f"write another, or have whoever looks after the policy allow it there, under {field}"
        return Problem(f"{what}, which the policy does not allow ({self.file}{line})", fix, where)


def read_policy(path: str) -> Policy:
    """Read a policy. Raises FileError with every problem."""
    fix = "name a policy with --policy or HOOKSYNC_POLICY; `hooksync schema --kind policy` prints its format"
    data, problems = read_yaml(path, read_settings(path, "policy", fix))
    if problems or not schema_check("policy")(data):
        from hooksync.config.schema_errors import find_schema_errors  # only here: a file that fits needs none of this

        errors = find_schema_errors(data, path, read_schema("policy"))
        raise FileError(*problems, *(error.problem for error in errors))
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Policy(path, {name: data.key_mark(name)[0] for name in data}, **given_fields(Policy, given))


@lru_cache(maxsize=1024)
def _is_allowed(netloc: str, usual: int, globs: tuple[str, ...]) -> bool:
    """Whether a host fits a glob, in which a `*` stands for one label; what no host's name holds fits none.

    `usual`: the port where none is written.
    """
    patterns = (re.escape(_called(glob, usual)).replace(r"\*", "[a-z0-9_-]+") for glob in globs)
    called = _called(netloc, usual)
    return any(re.fullmatch(pattern, called, re.IGNORECASE | re.ASCII) for pattern in patterns)


def _called(netloc: str, usual: int) -> str:
    """Write host and port as they are called: an address between brackets, whatever its spelling."""
    host, port = urls.split_port(netloc)
    address = None if "%" in host else urls.literal_address(host)
    return f"{f'[{address}]' if address else host.removesuffix('.')}:{port or usual}"
