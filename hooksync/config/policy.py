"""A policy: the names that hooks files may contain, and the actions that a run may take.

The authors of hooks files must not be able to change the policy.

A policy denies the servers, receivers, secrets and variables that it does not mention. This
includes variables that a tenancy uses because it names none, such as PRESERVICA_PASSWORD: they may
belong to a different team. A policy limits only the actions that it mentions. Different spellings
of a host are judged alike. The checks make no calls and open no files; they only follow links on
the disk.

`git:REF:PATH` reads the policy from a commit of the repository that contains the working folder.
Nothing comes from the checkout, so a change under review cannot change its policy.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape
from pathlib import PurePath
from typing import TypeAlias

from hooksync.config.checked_yaml import read_checked
from hooksync.config.declarations import (
    Declarations,
    TenancyDeclaration,
    VariableUse,
    name_values,
    uses_of,
)
from hooksync.config.files import PYPRESERVICA, STDIN, follow_links, read_named, real_path
from hooksync.config.yaml_loader import YamlMap, write_yaml
from hooksync.core import urls
from hooksync.core.errors import FileError, Problem, UsageError
from hooksync.core.git import find_git, find_repository
from hooksync.core.model import (
    KEY_VARIABLE,
    MOST,
    PROBES,
    Location,
    Probe,
    SecretRef,
    UnsubscribeLimit,
    Variables,
    found_credentials,
    matches_any,
)
from hooksync.core.record import Record, convert, replace
from hooksync.core.template import Template, fill_in

Allowed: TypeAlias = tuple[str, ...]  # values or globs
# each: the policy's field, what breaks it, where, and the line to write, or ""
Breaches: TypeAlias = Iterator[tuple[str, str, Location | None, str]]

_UNSET: Variables = {}  # `validate` reads no environment
_OPTIONAL = ("PRESERVICA_TENANT", "PRESERVICA_2FA_TOKEN")  # a log-in may work without them
_COMMITTED = re.compile("git:(?P<ref>refs/[^:]+|[0-9a-f]{40}|[0-9a-f]{64}):(?P<path>.+)")
_TOP = "${repository}"  # in `files`: the folder of the repository that contains the working folder
_PLAIN_NAME = re.compile("[a-z0-9-]+")  # no two of these names have the same ${TENANCY}


class Rules(Record):
    """What a policy allows a tenancy: the fields of `schemas/policy.schema.json`."""

    servers: Allowed = ()  # globs of hosts
    receivers: Allowed = ()  # globs of hosts; `host/path/` allows only URLs below that path
    secret_kinds: Allowed = ()
    login_variables: Allowed = ()  # globs of names, as in the next three fields
    secret_variables: Allowed = ()
    url_variables: Allowed = ()
    place_variables: Allowed = ()
    secret_folders: Allowed = ()
    allow_http: bool = False
    files: Allowed | None = None  # globs of paths, relative to the policy, or _TOP/...; None: any
    protect: Allowed = ()  # prefixes of URLs
    triggers: Allowed | None = None  # pyPreservica's names, or those of the service
    owns: Allowed | None = None  # "made", "all", "none", and prefixes of URLs
    probe: Probe = "never"  # or a stricter one
    replacement: Allowed | None = None


class Policy(Record):
    """A policy, as its file contains it."""

    file: str
    data: YamlMap

    def limits(self, name: str, suffix: str = "") -> dict[str, UnsubscribeLimit]:
        """Return the limits of what one run may do in a tenancy, by their fields.

        `suffix`: "_run" for the limits for all tenancies together.
        """
        data = self._data_for(name)
        limits = {}
        for field in MOST:
            if field + suffix in data:
                place = self._place(field + suffix, name)
                limits[field] = UnsubscribeLimit(data[field + suffix], place)
        return limits

    def rules_for(self, name: str) -> Rules:
        """Return the rules for a tenancy, with its name filled in. Without any: allow nothing."""
        values = name_values(name)
        data = dict(self._data_for(name))
        for field, value in data.items():
            if isinstance(value, list):
                data[field] = [fill_in(text, values) for text in value]
        return convert(data, Rules)

    def _data_for(self, name: str) -> YamlMap:
        """Return the fields that apply to a tenancy.

        The general rules apply to a receiver of the command line, whose tenancy has no name.
        """
        if "tenancies" not in self.data or not name:
            return self.data
        for glob, own in self.data["tenancies"].items():
            if fnmatchcase(name, glob):
                return YamlMap(own, self.data)
        return YamlMap()

    def _place(self, field: str, name: str = "") -> str:
        """Return where the policy has a field for a tenancy."""
        data = self._data_for(name) or self.data
        if field not in data:
            return f"{self.file} has no {field}"
        return f"{self.file}:{data.key_place(field).line}"

    def breaches(self, tenancies: Declarations, environ: Variables = _UNSET) -> Iterator[Problem]:
        """Find what the policy does not allow. `environ`: fills in the variables.

        If a variable has no value and no default, only the text before the first variable is
        judged.
        """
        for tenancy in tenancies:
            yield from self._outsiders(tenancy)
            rules = self.rules_for(tenancy.name)
            uses = [*_judged_uses(tenancy, environ)]
            found = [*self._name_breaches(tenancy, rules)]
            if not found:
                found += _setting_breaches(rules, tenancy)
                found += _file_breaches(rules, tenancy, self.file)
                found += _host_breaches(rules, tenancy, environ)
                found += _variable_breaches(rules, uses, self._data_for(tenancy.name))
                found += _source_breaches(rules, uses, self.file)
            for field, what, where, line in found:
                what += f", which the policy does not allow ({self._place(field, tenancy.name)})"
                advice = f"write `{line}`" if line else f"allow it, under {field}"
                fix = f"use a different one, or ask the owners of the policy to {advice}"
                yield Problem(what, fix, where)

    def _outsiders(self, tenancy: TenancyDeclaration) -> Iterator[Problem]:
        """Find the files that are not in the repository of a policy that a commit contains."""
        repository = find_repository(os.curdir)
        for file in tenancy.files if self.file.startswith("git:") else ():
            if file == STDIN or find_repository(file) != repository:
                what = f"{file} is not in {repository}, as its policy is, or is in a submodule"
                yield Problem(what, "keep all hooks files there", Location(file, 1, 1))

    def _name_breaches(self, tenancy: TenancyDeclaration, rules: Rules) -> Breaches:
        """Judge the name of a tenancy; a receiver of the command line has none."""
        name = tenancy.name
        is_filled_in = rules != convert(dict(self._data_for(name)), Rules)
        if name and not matches_any(name, self.data.get("tenancies", ["*"])):
            yield "tenancies", f'no name under `tenancies` matches "{name}"', tenancy.location, ""
        elif name and is_filled_in and not _PLAIN_NAME.fullmatch(name):
            what = f'"{name}" is not of lowercase letters, digits and -'
            yield "tenancies", what, tenancy.location, ""


def _judged_uses(tenancy: TenancyDeclaration, environ: Variables) -> Iterator[VariableUse]:
    """Yield what a tenancy uses, also the usual variables if it names none.

    A receiver of the command line, whose tenancy has no name, needs no log-in. A file with the
    log-in that a run found counts as if the tenancy named it.
    """
    login = found_credentials(environ)
    for use in uses_of(tenancy):
        is_needed = use.name not in _OPTIONAL or environ.get(use.name)
        if use.is_default and not (tenancy.name and is_needed):
            continue
        if login and use.role == "login" and use.name in PYPRESERVICA.values():
            use = replace(use, name="", ref=SecretRef("file", login, tenancy.location))
        yield use


def _setting_breaches(rules: Rules, tenancy: TenancyDeclaration) -> Breaches:
    """Compare the settings of a tenancy with what the policy allows. Defaults count, too."""
    if not tenancy.files:  # nobody wrote its settings
        return
    allowed: dict[str, Allowed | None] = {
        "owns": rules.owns,
        "probe": PROBES[PROBES.index(rules.probe) :],
        "replacement": rules.replacement,
    }
    for field, values in allowed.items():
        value = getattr(tenancy, field)
        for text in [value] if isinstance(value, str) else sorted(value):  # a word, or prefixes
            if not (values is None or text in values or urls.owns_url(frozenset(values), text)):
                yield field, f'tenancy "{tenancy.name}" has `{field}: {text}`', tenancy.location, ""
    for subscription in tenancy.subscriptions:
        trigger = subscription.trigger
        if rules.triggers is not None and {trigger, trigger.short}.isdisjoint(rules.triggers):
            what = f'"{subscription.name}" has the trigger {trigger.shown}'
            yield "triggers", what, subscription.location, ""
    if tenancy.allow_http and not rules.allow_http:
        yield (
            "allow_http",
            f'tenancy "{tenancy.name}" says `allow_http: true`',
            tenancy.location,
            "",
        )


def _file_breaches(rules: Rules, tenancy: TenancyDeclaration, policy: str) -> Breaches:
    """Judge the paths of the files, as they are given. A `*` in a glob matches within one name.

    A link may lead below its own folder, as in a ConfigMap, and the folder must be no link.
    """
    if rules.files is None:
        return
    base = os.path.dirname(os.path.abspath(policy_path(policy)))
    top = find_repository(os.curdir) or os.devnull  # no file is below it
    globs = [os.path.join(escape(base), glob.replace(_TOP, escape(top))) for glob in rules.files]
    for file in tenancy.files:
        where = Location(file, 1, 1)
        path = PurePath(os.path.abspath(file))
        if file == STDIN or not any(map(path.match, map(os.path.normpath, globs))):
            yield "files", f'{file} declares a part of tenancy "{tenancy.name}"', where, ""
            continue
        folder = str(path.parent)
        above = os.path.commonpath([base, folder])  # links above both belong to the machine
        place = follow_links(above) + folder.removeprefix(above)
        if not follow_links(file).startswith(os.path.join(place, "")):
            yield "files", f"a link at {file} leads to a different folder", where, ""


def _host_breaches(rules: Rules, tenancy: TenancyDeclaration, environ: Variables) -> Breaches:
    """Judge the server and the URLs of receivers, as far as their text is known.

    `resolve` reports what is no server and no URL.
    """
    server = tenancy.server
    text, is_whole = _filled_or_prefix(server, environ)
    is_valid = is_whole and not urls.server_fault(text)
    if is_valid and not is_allowed(urls.server_url(text), rules.servers):
        yield "servers", "the server leads to a host", server.location or tenancy.location, ""
    for subscription in tenancy.subscriptions:
        where = subscription.url.location
        text, is_whole = _filled_or_prefix(subscription.url, environ)
        scheme, _, tail = urls.split_url(text)
        if scheme not in urls.DEFAULT_PORTS or not (is_whole or tail):
            continue  # its host is not known yet
        if not is_allowed(text, rules.receivers, is_whole=is_whole):
            yield "receivers", "the URL leads to a host or path", where, ""
        if is_whole and urls.protects_url(frozenset(rules.protect), text):
            yield "protect", "the URL is, or may be, under a protected prefix", where, ""
        if urls.is_plain_http(text) and not rules.allow_http:
            yield "allow_http", "the URL is plain http", where, ""


def _filled_or_prefix(written: Template, environ: Variables) -> tuple[str, bool]:
    """Return a filled-in text, and True.

    If a variable is not known, return the text before the first variable, and False.
    """
    text, missing = written.fill(environ)
    if not missing:
        return text, True
    _, before, _ = next(written.variables())
    return before, False


def is_allowed(url: str, globs: Allowed, *, is_whole: bool = True) -> bool:
    """Whether one of the globs, of hosts or of hosts with a path, covers a URL.

    `is_whole`: whether all variables of the URL are filled in; otherwise, whether a glob may cover
    it when they are.
    """
    scheme, netloc, path = urls.split_url(url)
    for glob in globs:
        host, _, start = glob.partition("/")
        if _is_host(netloc, host, scheme) and _is_below(path, f"/{start}", is_whole=is_whole):
            return True
    return False


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
def _is_host(netloc: str, glob: str, scheme: str) -> bool:
    """Whether a glob covers a host and port. A `*` in it matches one label of a host name.

    Hosts are compared in their one spelling. Letters outside ASCII may look like others.
    """
    is_address = urls.literal_address(urls.split_port(netloc)[0])
    label = r"\*" if is_address else "[a-z0-9_-]+"
    pattern = re.escape(urls.server_url(f"{scheme}://{glob}")).replace(r"\*", label)
    host = urls.server_url(f"{scheme}://{netloc}")
    return netloc.isascii() and re.fullmatch(pattern, host) is not None


def _variable_breaches(rules: Rules, uses: Iterable[VariableUse], data: YamlMap) -> Breaches:
    """Judge variables. The line to write has all names of its field that are missing."""
    refused: dict[str, list[VariableUse]] = {}
    for use in uses:
        field = f"{use.role}_variables"
        if use.name and not matches_any(use.name, getattr(rules, field)):
            refused.setdefault(field, []).append(use)
    for field, missing in refused.items():
        names = dict.fromkeys([*data.get(field, ()), *(use.name for use in missing)])
        line = write_yaml({field: [*names]}, is_flow=True)[1:-2]
        for use in missing:
            yield field, f"this uses the variable {use.name}", use.where, line


def _source_breaches(rules: Rules, uses: Iterable[VariableUse], policy: str) -> Breaches:
    """Judge the sources of secrets and credentials."""
    base = os.path.dirname(policy_path(policy))
    folders = []
    for folder in rules.secret_folders:
        folders.append(os.path.join(real_path(SecretRef("file", folder, base=base)), ""))
    refs = [use.ref for use in uses if use.ref]
    for ref in dict.fromkeys(refs):  # each source once: following links reads the disk
        if ref.kind not in rules.secret_kinds:
            yield "secret_kinds", f"{ref} is a secret of the kind `{ref.kind}`", ref.location, ""
        elif ref.kind == "file" and not real_path(ref).startswith(tuple(folders)):
            yield "secret_folders", f"{ref} leads to a folder", ref.location, ""


def key_warnings(policy: str | None, environ: Variables) -> list[Problem]:
    """Warn if the run has a policy, and no key for the signature of its state."""
    if not policy or environ.get(KEY_VARIABLE):
        return []
    what = f"{KEY_VARIABLE} is not set, and under a policy, an unsigned state owns nothing"
    fix = "make a key with `hooksync secret generate`, and set it in each run"
    return [Problem(what, fix)]


def policy_path(name: str) -> str:
    """Return the path of a policy; of one that a commit contains, its path in the checkout."""
    committed = _COMMITTED.fullmatch(name)
    if committed is None:
        return name
    return os.path.join(find_repository(os.curdir) or os.curdir, committed["path"])


def read_policy(name: str, environ: Variables = _UNSET) -> Policy:
    """Read a policy. Raises FileError with every problem, or UsageError for a wrong `git:`."""
    if name.startswith("git:"):
        content = _read_committed(name, environ)
    else:
        fix = (
            "name a policy with --policy or HOOKSYNC_POLICY; `hooksync schema --kind policy` prints"
            " its format"
        )
        content = read_named(name, "policy", fix)
    data = read_checked("policy", name, content)
    if "max_resubscribe" in data and data.keys().isdisjoint(("tenancies", "max_resubscribe_run")):
        what = "max_resubscribe is a limit for each tenancy, no longer for the whole run"
        fix = f"write max_resubscribe_run: {data['max_resubscribe']}, alone or beside it"
        raise FileError(Problem(what, fix, data.key_place("max_resubscribe")))
    return Policy(name, data)


def _read_committed(name: str, environ: Variables) -> bytes:
    """Read a policy from a commit of the repository that contains the working folder."""
    committed = _COMMITTED.fullmatch(name)
    if committed is None:
        what = f"--policy {name} names no ref in full: a short name can mean a tag and a branch"
        fix = "write git:REF:PATH, with refs/... or the full id of a commit as REF"
        raise UsageError(Problem(what, fix))
    ref, path = committed.groups()
    git = find_git(os.curdir, environ)
    data = git.read(ref, path) if git else None
    if data is None:
        what = f"git found no policy {path} in {ref}, in the clone that contains the working folder"
        show = f"`git show {shlex.quote(f'{ref}:{path}')}`"
        raise FileError(Problem(what, f"fetch the ref, and merge the policy first; {show} helps"))
    return data
