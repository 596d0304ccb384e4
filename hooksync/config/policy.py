"""A policy: the names that hooks files may contain, and the actions that a run may take.

The authors of hooks files must not be able to change the policy.

A policy denies the servers, receivers, secrets and variables that it does not mention. Variables
such as PRESERVICA_PASSWORD are always allowed for their usual purpose. A policy limits only the
actions that it mentions. Different spellings of a host are judged alike. The checks make no calls
and open no files; they only follow links on the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, TypeAlias

from hooksync.config.declarations import TemplateAt, TenancyDeclaration, name_values
from hooksync.config.files import STDIN, follow_links, lies_in, read_settings
from hooksync.config.references import VariableUse, uses_of
from hooksync.config.schema_errors import read_checked
from hooksync.config.yaml_loader import YamlMap
from hooksync.core import urls
from hooksync.core.errors import Problem
from hooksync.core.model import (
    KEY_VARIABLE,
    PROBES,
    CredentialRefs,
    Location,
    SecretRef,
    UnsubscribeLimit,
    matches_any,
)
from hooksync.core.record import Record, given_fields, replace
from hooksync.core.template import MissingVariableError, fill_in

Allowed: TypeAlias = tuple[str, ...]  # values or globs
_PLAIN_NAME = re.compile("[a-z0-9-]+")  # no two of these names have the same ${TENANCY}
_RUN_LIMITS = ("max_unsubscribe_run", "max_resubscribe")
# the fields in whose texts ${tenancy} and ${TENANCY} are the name of the tenancy
_WITH_NAMES = (
    *("servers", "receivers", "login_variables", "secret_variables", "url_variables"),
    *("place_variables", "secret_folders", "files", "owns", "protect"),
)


class Policy(Record, frozen=True):
    """The fields of `schemas/policy.schema.json`."""

    file: str
    lines: Mapping[str, int]  # line numbers by field
    servers: Allowed = ()  # globs of hosts
    receivers: Allowed = ()  # globs of hosts; `host/path/` allows only URLs below that path
    secret_kinds: Allowed = ()
    login_variables: Allowed = ()  # globs of names, as in the next three fields
    secret_variables: Allowed = ()
    url_variables: Allowed = ()
    place_variables: Allowed = ()
    secret_folders: Allowed = ()
    allow_http: bool = False
    allow_private_receivers: bool = False
    files: Allowed | None = None  # globs of paths, relative to the policy; None: any file
    protect: Allowed = ()  # prefixes of URLs
    # limits of the actions of a run; None: no limit
    max_unsubscribe: UnsubscribeLimit | None = None
    max_unsubscribe_run: int | None = None
    max_resubscribe: int | None = None
    triggers: Allowed | None = None  # pyPreservica's names, or those of the service
    owns: Allowed | None = None  # "made", "all", "none", and prefixes of URLs
    probe: Allowed | None = None
    replacement: Allowed | None = None
    # by glob of names: the policy with the rules for these tenancies; None: one for all tenancies
    tenancies: Mapping[str, Policy] | None = None
    has_name: bool = False  # whether the name of a tenancy was filled in

    def rules_for(self, name: str) -> Policy:
        """Return the rules for a tenancy, with its name filled in. Without any: allow nothing.

        The general rules apply to a receiver of the command line, whose tenancy has no name.
        """
        rules = self
        if self.tenancies is not None and name:
            found = [rules for glob, rules in self.tenancies.items() if fnmatchcase(name, glob)]
            rules = found[0] if found else Policy(self.file, {})
        filled = {}
        for field in _WITH_NAMES:
            texts = getattr(rules, field) or ()
            named = tuple(fill_in(text, name_values(name)) for text in texts)
            if named != texts:
                filled[field] = named
        return replace(rules, has_name=bool(filled), **filled)

    def breaches(
        self,
        tenancies: Sequence[TenancyDeclaration],
        environ: Mapping[str, str] | None = None,
        login: str = "",
        *,
        uses_settings: bool = True,
    ) -> Iterator[Problem]:
        """Find what the policy does not allow.

        `environ`: fills in the variables; None: only the text before the first variable is judged.

        `login`: the path of a credentials file, which is judged as if the tenancy named it.

        `uses_settings`: whether the run uses settings and triggers; otherwise they are not judged.
        """
        for tenancy in tenancies:
            rules = self.rules_for(tenancy.name)
            if uses_settings:
                yield from rules._limit_breaches(tenancy)
            if not tenancy.name:
                yield from rules._breaches(tenancy, environ, login)
            elif self.tenancies is not None and not matches_any(tenancy.name, self.tenancies):
                what = f'no name under `tenancies` matches "{tenancy.name}"'
                yield self._problem("tenancies", what, tenancy.location)
            elif rules.has_name and not _PLAIN_NAME.fullmatch(tenancy.name):
                what = f'"{tenancy.name}" is not of lowercase letters, digits and -'
                yield rules._problem("tenancies", what, tenancy.location)
            else:
                yield from rules._breaches(tenancy, environ, login)

    def _breaches(
        self, tenancy: TenancyDeclaration, environ: Mapping[str, str] | None, login: str
    ) -> Iterator[Problem]:
        yield from self._file_breaches(tenancy)
        yield from self._server_breaches(tenancy, environ)
        for entry in tenancy.subscriptions:
            yield from self._receiver_breaches(entry.url, environ)
        refs = []
        for use in uses_of(tenancy):
            if use.name and not use.is_usual:
                yield from self._variable_breaches(use)
            if use.ref and not use.is_usual:
                refs.append(use.ref)
        usual = CredentialRefs()
        credentials = tenancy.settings.credentials
        if login and (
            credentials.username == usual.username or credentials.password == usual.password
        ):
            refs.append(SecretRef("file", login, tenancy.location))
        for ref in dict.fromkeys(refs):  # each source once: following links reads the disk
            if breach := self._breach_of(ref):
                yield self._problem(*breach, ref.location)

    def _limit_breaches(self, tenancy: TenancyDeclaration) -> Iterator[Problem]:
        for field in ("owns", "probe", "replacement"):
            for denied in _denied(getattr(tenancy.settings, field), getattr(self, field)):
                what = f'tenancy "{tenancy.name}" has `{field}: {denied}`'
                yield self._problem(field, what, tenancy.location)
        for entry in tenancy.subscriptions:
            for trigger in entry.triggers:
                if self.triggers is not None and {trigger.short, trigger.wire}.isdisjoint(
                    self.triggers
                ):
                    what = f'"{entry.name}" has the trigger {trigger.shown}'
                    yield self._problem("triggers", what, entry.location)

    def run_limits(self) -> dict[str, tuple[int, str]]:
        """Return the limits for all tenancies together, each with its place, by their fields."""
        limits = {}
        for field in _RUN_LIMITS:
            if field in self.lines:
                limits[field] = getattr(self, field), self._place(field)
        return limits

    def _file_breaches(self, tenancy: TenancyDeclaration) -> Iterator[Problem]:
        if self.files is None:
            return
        folder = os.path.dirname(follow_links(self.file))
        globs = [os.path.normpath(os.path.join(folder, glob)) for glob in self.files]
        for file in tenancy.files:
            path = follow_links(file)
            if file == STDIN or not any(_is_at(path, glob) for glob in globs):
                places = [entry.location for entry in tenancy.subscriptions]
                inside = [place for place in places if place.file == file]
                what = f'{file} declares a part of tenancy "{tenancy.name}"'
                yield self._problem("files", what, (*inside, tenancy.location)[0])

    def _server_breaches(
        self, tenancy: TenancyDeclaration, environ: Mapping[str, str] | None
    ) -> Iterator[Problem]:
        server = tenancy.settings.server
        if server.location is None:
            server = replace(server, location=tenancy.location)
        text, is_whole = _filled_or_prefix(server, environ)
        if is_whole and not urls.server_fault(text):  # otherwise `resolve` judges it
            yield from self._host_breaches("servers", urls.server_url(text), "the server", server)
        if tenancy.settings.allow_http and not self.allow_http:
            what = f'tenancy "{tenancy.name}" says `allow_http: true`'
            yield self._problem("allow_http", what, tenancy.location)

    def _receiver_breaches(
        self, written: TemplateAt, environ: Mapping[str, str] | None
    ) -> Iterator[Problem]:
        text, is_whole = _filled_or_prefix(written, environ)
        scheme, _, tail = urls.split_url(text)
        if scheme not in urls.DEFAULT_PORTS or not (is_whole or tail):
            return  # it is not a URL, which `resolve` reports, or its host is not known yet
        yield from self._host_breaches("receivers", text, "the URL", written, is_whole=is_whole)
        if is_whole and urls.owns_url(frozenset(self.protect), text):
            what = "the URL is under a protected prefix"
            yield self._problem("protect", what, written.location)
        if urls.is_plain_http(text) and not self.allow_http:
            yield self._problem("allow_http", "the URL is plain http", written.location)

    def _host_breaches(
        self, field: str, url: str, subject: str, written: TemplateAt, *, is_whole: bool = True
    ) -> Iterator[Problem]:
        globs: Allowed = getattr(self, field)
        scheme, netloc, path = urls.split_url(url)
        paths = _allowed_paths(netloc, urls.DEFAULT_PORTS[scheme], globs)
        if any(_is_below(path, allowed_path, is_whole=is_whole) for allowed_path in paths):
            return
        what = f"{subject} leads to {'a path of ' if paths else ''}{netloc}"
        names = written.template.names
        if netloc not in written.template.text and not all(map(self._is_place, names)):
            # the value of a variable may be a secret
            what = f"{written.subject(subject)} leads to a host"
        yield self._problem(field, what, written.location)

    def _variable_breaches(self, use: VariableUse) -> Iterator[Problem]:
        """Judge a variable by what it is used for."""
        field = f"{use.role}_variables"
        what = f"this names the variable {use.name}"
        if use.ref:
            field = "secret_variables" if use.ref.noun == "secret" else "login_variables"
        elif use.role == "place":
            what = f"the value of the variable {use.name} would be shown here"
        if not matches_any(use.name, getattr(self, field)):
            yield self._problem(field, what, use.where)

    def _is_place(self, name: str) -> bool:
        """Whether messages may show the value of a variable."""
        hidden = (*self.login_variables, *self.secret_variables, *self.url_variables)
        is_listed = name == "PRESERVICA_SERVER" or matches_any(name, self.place_variables)
        return is_listed and not matches_any(name, hidden)

    def _breach_of(self, ref: SecretRef) -> tuple[str, str] | None:
        """Return the policy's field that does not allow a reference, and the reason; or None."""
        if ref.kind not in self.secret_kinds:
            return "secret_kinds", f"{ref} is a secret of the kind `{ref.kind}`"
        if ref.kind == "file" and not any(
            lies_in(ref, folder, self.file) for folder in self.secret_folders
        ):
            return "secret_folders", f"{ref} leads to a folder"
        return None

    def _problem(self, field: str, what: str, where: Location | None) -> Problem:
        fix = f"use a different one, or ask the owners of the policy to allow it, under {field}"
        what = f"{what}, which the policy does not allow ({self._place(field)})"
        return Problem(what, fix, where)

    def _place(self, field: str) -> str:
        """Return where the policy has a field."""
        if field in self.lines:
            return f"{self.file}:{self.lines[field]}"
        return f"{self.file} has no {field}"


def key_warnings(policy: str | None, environ: Mapping[str, str]) -> list[Problem]:
    """Warn if the run has a policy, and no key for the signature of its state."""
    if not policy or environ.get(KEY_VARIABLE):
        return []
    what = f"{KEY_VARIABLE} is not set, and under a policy, an unsigned state owns nothing"
    fix = "make a key with `hooksync secret generate`, and set it in each run"
    return [Problem(what, fix)]


def read_policy(path: str) -> Policy:
    """Read a policy. Raises FileError with every problem."""
    fix = (
        "name a policy with --policy or HOOKSYNC_POLICY; `hooksync schema --kind policy` prints its"
        " format"
    )
    data = read_checked("policy", path, read_settings(path, "policy", fix))
    tenancies = None
    if "tenancies" in data:
        own = data["tenancies"]
        tenancies = {glob: _make_policy(path, YamlMap(own[glob], data), None) for glob in own}
    return _make_policy(path, data, tenancies)


def _make_policy(path: str, data: YamlMap, tenancies: Mapping[str, Policy] | None) -> Policy:
    """Make the rules for all tenancies, or for those of one glob."""
    lines = {name: data.key_places[name].line for name in data}
    given: dict[str, Any] = {}
    for name, value in data.items():
        given[name] = tuple(value) if isinstance(value, list) else value
    given["tenancies"] = tenancies
    if "probe" in given:
        # `PROBES` is sorted from the weakest to the strictest
        given["probe"] = PROBES[PROBES.index(given["probe"]) :]
    if "max_unsubscribe" in given:
        place = f"{path}:{lines['max_unsubscribe']}"
        given["max_unsubscribe"] = UnsubscribeLimit.read(given["max_unsubscribe"], place)
    return Policy(path, lines, **given_fields(Policy, given))


def _is_at(path: str, glob: str) -> bool:
    """Whether a glob, in which `*` matches within one name, matches a whole path."""
    names = path.split(os.sep)
    globs = glob.split(os.sep)
    return len(names) == len(globs) and all(map(fnmatchcase, names, globs))


def _filled_or_prefix(written: TemplateAt, environ: Mapping[str, str] | None) -> tuple[str, bool]:
    """Return a filled-in text, and True.

    If a variable is not known, return the text before the first variable, and False.
    """
    template = written.template
    with suppress(MissingVariableError):
        if environ is not None or template.literal is not None:
            return template.fill(environ or {}), True
    return str(template.parts[0]), False


def _denied(value: str | frozenset[str], allowed: Allowed | None) -> list[str]:
    """List what is not allowed: the value itself, or some of its URL prefixes.

    If `allowed` is None, everything is allowed.
    """
    if allowed is None or value in allowed:
        return []
    if isinstance(value, str):
        return [value]
    return [prefix for prefix in sorted(value) if not urls.owns_url(frozenset(allowed), prefix)]


def _is_below(path: str, start: str, *, is_whole: bool) -> bool:
    """Whether a path is below `start`; if it is not whole, whether it may be when filled in.

    A path with `%`, `;` or letters outside ASCII is below none but the root: servers may read it as
    a different path.
    """
    plain = path.partition("?")[0]
    if start != "/" and ("%" in plain or ";" in plain or not plain.isascii()):
        return False
    if not is_whole and start.startswith(path):
        return True
    return urls.owns_url(frozenset([f"https://host{start}"]), f"https://host{path}")


@lru_cache(maxsize=1024)
def _allowed_paths(netloc: str, usual: int, globs: Allowed) -> list[str]:
    """List the paths that are allowed on a host. A `*` in a glob matches one label of a host name.

    `usual`: the port if none is written.
    """
    called = _normal_netloc(netloc, usual)
    paths = []
    for glob in globs:
        host, _, path = glob.partition("/")
        pattern = re.escape(_normal_netloc(host, usual)).replace(r"\*", "[a-z0-9_-]+")
        if re.fullmatch(pattern, called, re.IGNORECASE | re.ASCII):
            paths.append(f"/{path}")
    return paths


def _normal_netloc(netloc: str, usual: int) -> str:
    """Write host and port in one form: with a port, no final dot, and brackets around addresses."""
    host, port = urls.split_port(netloc)
    address = None if "%" in host else urls.literal_address(host)
    return f"{f'[{address}]' if address else host.removesuffix('.')}:{port or usual}"
