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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import escape
from pathlib import PurePath
from typing import Any

from hooksync.config.checked_yaml import read_checked
from hooksync.config.declarations import Declarations, TenancyDeclaration, name_values, uses_of
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
    SecretRef,
    Trigger,
    UnsubscribeLimit,
    Variables,
    found_credentials,
    matches_any,
)
from hooksync.core.record import Record
from hooksync.core.template import fill_in

Rules = Mapping[str, Any]  # the fields of `schemas/policy.schema.json`
# the field of a policy that decides, what it judges, what this does in words, and where
Claim = tuple[str, Any, str, Location | None]
Claims = Iterator[Claim]

_UNSET: Variables = {}  # `validate` reads no environment
_LIMITS = ("files", "protect", "triggers", "owns", "probe", "replacement")  # otherwise: no limit
_OPTIONAL = ("PRESERVICA_TENANT", "PRESERVICA_2FA_TOKEN")  # a log-in may work without them
_COMMITTED = re.compile("git:(?P<ref>refs/[^:]+|[0-9a-f]{40}|[0-9a-f]{64}):(?P<path>.+)")
_TOP = "${repository}"  # in `files`: the folder of the repository that contains the working folder
_PLAIN_NAME = re.compile("[a-z0-9-]+")  # no two of these names have the same ${TENANCY}


class Policy(Record):
    """A policy, as its file contains it."""

    file: str
    data: YamlMap

    def limits(self, name: str, suffix: str = "") -> dict[str, UnsubscribeLimit]:
        """Return the limits of what one run may do in a tenancy, by their fields.

        `suffix`: "_run" for the limits for all tenancies together.
        """
        data = self._data_for(name)
        return {
            field: UnsubscribeLimit(data[field + suffix], self._place(field + suffix, name))
            for field in MOST
            if field + suffix in data
        }

    def rules_for(self, name: str) -> Rules:
        """Return the fields that apply to a tenancy, with its name filled in."""
        values = name_values(name)
        rules = dict(self._data_for(name))
        for field, value in rules.items():
            if isinstance(value, list):
                rules[field] = [fill_in(text, values) for text in value]
        return rules

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
        return f"{self.file}:{data.place(field).line}"

    def breaches(self, tenancies: Declarations, environ: Variables = _UNSET) -> Iterator[Problem]:
        """Find what the policy does not allow. `environ`: fills in the variables.

        If a variable has no value and no default, only the text before the first variable is
        judged.
        """
        folder = os.path.dirname(os.path.abspath(policy_path(self.file)))
        for tenancy in tenancies:
            yield from self._outsiders(tenancy)
            rules = self.rules_for(tenancy.name)
            refused: dict[str, list[Claim]] = {}
            for claim in self._claims(tenancy, rules, environ):
                if not _allows(rules, claim, folder):
                    refused.setdefault(claim[0], []).append(claim)
            for field, found in refused.items():
                advice = f"allow it, under {field}"
                if field.endswith("_variables"):
                    listed = self._data_for(tenancy.name).get(field, ())
                    names = dict.fromkeys([*listed, *(value for _, value, _, _ in found)])
                    advice = f"write `{write_yaml({field: [*names]}, is_flow=True)[1:-2]}`"
                fix = f"use a different one, or ask the owners of the policy to {advice}"
                place = self._place(field, tenancy.name)
                for _, _, what, where in found:
                    yield Problem(f"{what}, which the policy does not allow ({place})", fix, where)

    def _outsiders(self, tenancy: TenancyDeclaration) -> Iterator[Problem]:
        """Find the files that are not in the repository of a policy that a commit contains."""
        repository = find_repository(os.curdir)
        for file in tenancy.files if self.file.startswith("git:") else ():
            if file == STDIN or find_repository(file) != repository:
                yield Problem(
                    f"{file} is not in {repository}, as its policy is, or is in a submodule",
                    "keep all hooks files there",
                    Location(file, 1, 1),
                )

    def _claims(self, tenancy: TenancyDeclaration, rules: Rules, environ: Variables) -> Claims:
        """Yield all that is judged of a tenancy; if its name is wrong, that alone.

        A receiver of the command line has no name.
        """
        name = tenancy.name
        is_filled_in = rules != self._data_for(name)
        if name and not matches_any(name, self.data.get("tenancies", ["*"])):
            what = f'no name under `tenancies` matches "{name}"'
            yield "tenancies", name, what, tenancy.location
        elif name and is_filled_in and not _PLAIN_NAME.fullmatch(name):
            what = f'"{name}" is not of lowercase letters, digits and -'
            yield "tenancies", name, what, tenancy.location
        else:
            yield from _setting_claims(tenancy)
            yield from _place_claims(tenancy, environ)
            yield from _source_claims(tenancy, environ, rules.get("secret_kinds", ()))


def _allows(rules: Rules, claim: Claim, folder: str) -> bool:
    """Whether a policy allows what a tenancy has. What is not mentioned is denied, except limits.

    `folder`: of the policy; relative paths start there.
    """
    field, value, _, _ = claim
    if field not in rules:
        return field in _LIMITS
    allowed = rules[field]
    match field:
        case "tenancies":
            return False
        case "allow_http":
            return bool(allowed)
        case "servers" | "receivers":
            url, is_whole = value
            return is_allowed(url, allowed, is_whole=is_whole)
        case "protect":
            return not urls.protects_url(frozenset(allowed), value)
        case "owns":
            return value in allowed or urls.owns_url(frozenset(allowed), value)
        case "probe":
            return PROBES.index(value) >= PROBES.index(allowed)
        case "triggers":
            return value in [*map(Trigger.named, allowed)]
        case "secret_folders":
            for path in allowed:
                inside = os.path.join(real_path(SecretRef("file", path, base=folder)), "")
                if real_path(value).startswith(inside):
                    return True
            return False
        case "files":
            return value != STDIN and any(_covers_file(glob, value, folder) for glob in allowed)
    return matches_any(value, allowed)


def _covers_file(glob: str, file: str, base: str) -> bool:
    """Whether a glob covers the path of a file as it is given. A `*` matches within one name.

    A link may lead below its own folder, as in a ConfigMap, and the folder must be no link.
    """
    top = find_repository(os.curdir) or os.devnull  # no file is below it
    pattern = os.path.join(escape(base), glob.replace(_TOP, escape(top)))
    path = PurePath(os.path.abspath(file))
    is_below = follow_links(file).startswith(os.path.join(path.parent, ""))
    return path.match(os.path.normpath(pattern)) and is_below


def _setting_claims(tenancy: TenancyDeclaration) -> Claims:
    """Yield the settings, triggers and files of a tenancy. Defaults count, too."""
    if not tenancy.files:  # nobody wrote its settings
        return
    subject = f'tenancy "{tenancy.name}"'
    for field in ("owns", "probe", "replacement"):
        value = getattr(tenancy, field)
        for text in [value] if isinstance(value, str) else sorted(value):  # a word, or prefixes
            yield field, text, f"{subject} has `{field}: {text}`", tenancy.location
    if tenancy.allow_http:
        yield "allow_http", True, f"{subject} says `allow_http: true`", tenancy.location
    for subscription in tenancy.subscriptions:
        trigger = subscription.trigger
        what = f'"{subscription.name}" has the trigger {trigger.shown}'
        yield "triggers", trigger, what, subscription.location
    for file in tenancy.files:
        what = f"{file}, or what it is a link to, declares a part of {subject}"
        yield "files", file, what, Location(file, 1, 1)


def _place_claims(tenancy: TenancyDeclaration, environ: Variables) -> Claims:
    """Yield the server and the URLs of receivers, as far as their text is known.

    `resolve` reports what is no server and no URL.
    """
    server = tenancy.server
    text, missing = server.fill(environ)
    if not (missing or urls.server_fault(text)):
        here = server.location or tenancy.location
        yield "servers", (urls.server_url(text), True), "the server leads to a host", here
    for subscription in tenancy.subscriptions:
        written = subscription.url
        text, missing = written.fill(environ)
        if missing:
            _, text, _ = next(written.variables())
        scheme, _, tail = urls.split_url(text)
        if scheme not in urls.DEFAULT_PORTS or (missing and not tail):
            continue  # its host is not known yet
        where = written.location
        yield "receivers", (text, not missing), "the URL leads to a host or path", where
        if not missing:
            yield "protect", text, "the URL is, or may be, under a protected prefix", where
        if urls.is_plain_http(text):
            yield "allow_http", True, "the URL is plain http", where


def _source_claims(tenancy: TenancyDeclaration, environ: Variables, kinds: Sequence[str]) -> Claims:
    """Yield variables, and the sources of secrets; also the usual ones if a tenancy names none.

    `kinds`: those that are allowed; only of these, the folder matters.

    A receiver of the command line, whose tenancy has no name, needs no log-in. A file with the
    log-in that a run found counts as if the tenancy named it.
    """
    login = found_credentials(environ)
    refs = []
    for use in uses_of(tenancy):
        is_needed = use.name not in _OPTIONAL or environ.get(use.name)
        if use.is_default and not (tenancy.name and is_needed):
            continue
        if login and use.role == "login" and use.name in PYPRESERVICA.values():
            refs.append(SecretRef("file", login, tenancy.location))
            continue
        if use.name:
            what = f"this uses the variable {use.name}"
            yield f"{use.role}_variables", use.name, what, use.where
        if use.ref:
            refs.append(use.ref)
    for ref in dict.fromkeys(refs):  # each source once: following links reads the disk
        if ref.kind not in kinds:
            what = f"{ref} is a secret of the kind `{ref.kind}`"
            yield "secret_kinds", ref.kind, what, ref.location
        elif ref.kind == "file":
            yield "secret_folders", ref, f"{ref} leads to a folder", ref.location


def is_allowed(url: str, globs: Iterable[str], *, is_whole: bool = True) -> bool:
    """Whether one of the globs, of hosts or of hosts with a path, covers a URL.

    `is_whole`: whether all variables of the URL are filled in; otherwise, whether a glob may cover
    it when they are. A path with `%`, `;` or letters outside ASCII is below none but the root:
    servers may read it as a different path.
    """
    scheme, netloc, path = urls.split_url(url)
    plain = path.partition("?")[0]
    is_plain = "%" not in plain and ";" not in plain and plain.isascii()
    for glob in globs:
        host, _, below = glob.partition("/")
        start = f"/{below}"
        if _is_host(netloc, host, scheme) and (is_plain or start == "/"):
            is_start = not is_whole and start.startswith(path)
            if is_start or urls.owns_url(
                frozenset([f"https://host{start}"]), f"https://host{path}"
            ):
                return True
    return False


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


def key_warnings(policy: str | None, environ: Variables) -> list[Problem]:
    """Warn if the run has a policy, and no key for the signature of its state."""
    if not policy or environ.get(KEY_VARIABLE):
        return []
    return [
        Problem(
            f"{KEY_VARIABLE} is not set, and under a policy, an unsigned state owns nothing",
            "make a key with `hooksync secret generate`, and set it in each run",
        )
    ]


def policy_path(name: str) -> str:
    """Return the path of a policy; of one that a commit contains, its path in the checkout."""
    committed = _COMMITTED.fullmatch(name)
    if committed is None:
        return name
    return os.path.join(find_repository(os.curdir) or os.curdir, committed["path"])


def read_policy(name: str, environ: Variables = _UNSET) -> Policy:
    """Read a policy. Raises FileError with every problem, or UsageError for a wrong `git:`."""
    committed = _COMMITTED.fullmatch(name)
    if committed:
        ref, path = committed.groups()
        git = find_git(os.curdir, environ)
        content = git.read(ref, path) if git else None
        if content is None:
            where = "in the clone that contains the working folder"
            show = f"`git show {shlex.quote(f'{ref}:{path}')}`"
            raise FileError(
                f"git found no policy {path} in {ref}, {where}",
                f"fetch the ref, and merge the policy first; {show} helps",
            )
    elif name.startswith("git:"):
        raise UsageError(
            f"--policy {name} names no ref in full: a short name can mean a tag and a branch",
            "write git:REF:PATH, with refs/... or the full id of a commit as REF",
        )
    else:
        fix = (
            "name a policy with --policy or HOOKSYNC_POLICY; `hooksync schema --kind policy` prints"
            " its format"
        )
        content = read_named(name, "policy", fix)
    data = read_checked("policy", name, content)
    if "max_resubscribe" in data and data.keys().isdisjoint(("tenancies", "max_resubscribe_run")):
        raise FileError(
            "max_resubscribe is a limit for each tenancy, no longer for the whole run",
            f"write max_resubscribe_run: {data['max_resubscribe']}, alone or beside it",
            data.place("max_resubscribe"),
        )
    return Policy(name, data)
