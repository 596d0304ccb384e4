"""The start of the mutations: good and bad inputs for each reader, and words of their formats."""

from __future__ import annotations

import json
from pathlib import Path

from hooksync.core.signing import PlanKey
from hooksync.output.json_text import digest
from hooksync.state.format import state_text
from hooksync.state.model import State
from tests.fuzz.checks import LITERAL
from tests.fuzz.targets import CODE, SIGNATURE
from tests.state_makers import entry, intent, state, unsettled

_ROOT = Path(__file__).resolve().parent.parent.parent

_WHOLE = """\
version: 1
extra_triggers: [ENTITY_DELETED]
x-common: &common {trigger: MOVED, secret: {env: A}}
x-more: &more
  <<: *common
  include_identifiers: no
defaults: {secret: {file: /run/secrets/hook}, triggers: [INDEXED, FULL_TEXT_INDEXED]}
tenancies:
  prod: &prod
    server: http://${HOST:-localhost}:8080
    tenant: ${EMPTY}BRAMA$$
    allow_http: true
    credentials: {username: {env: U}, password: {env: P}, totp: {env: T}}
    owns: [https://fn.example.net/api, "http://[::1]:80/"]
    limits: {unsubscribe: 12.5%}
    replacement: remove-first
    probe: require
    subscriptions: &hooks
      catalogue: {<<: [*more, *common], url: "https://fn.example.net/api?code=${FN_KEY}"}
      other:
        url: https://${HOST}/api/..%2f;x
        triggers: [MOVED, ENTITY_DELETED]
        secret:
          env: B
  test: {<<: *prod, server: ${LINES}, subscriptions: {}}
"""
_LEAKY = f"""\
version: 1
tenancies:
  a:
    server: h
    credentials: {{username: "{LITERAL}", password: {{env: "{LITERAL}"}}, totp: {{"{LITERAL}": 1}}}}
    subscriptions:
      b: {{url: "https://h/?code={LITERAL}", trigger: MOVED, secret: {LITERAL}}}
      c: {{url: "https://u:{LITERAL}@h/#{LITERAL}", trigger: MOVED, secret: {{file: "a\\0{LITERAL}"}}}}
      d: {{url: "${{A:-{LITERAL}", trigger: MOVED, secret: !{LITERAL} *{LITERAL.replace("/", "")}}}
      e: {{url: "ftp://h/", trigger: MOVED, secret: [{LITERAL}]}}
"""
_ALIASES = "version: 1\nx-0: &x0 {a: b}\nx-1: &x1 {c: [d]}\n" + "".join(
    f"x-{n}: &x{n} {{p{n}: *x{n - 1}, q: *x{n - 1}, <<: [*x{n - 2}, *x{n - 1}]}}\n"
    for n in range(2, 12)
)

_STATE = state(entry(), entry(identifier="3", key=None), intent(run=7), unsettled(), serial=7)

_STEP = {
    "action": "keep", "address": "prod/catalogue/MOVED", "name": "catalogue", "trigger": "MOVED", "id": "1" * 32,
    "url": f"https://fn.example.net/api?code={LITERAL}", "include_identifiers": True, "reasons": [{"code": "secret-changed", "text": "secret changed"}],
    "changes": [{"field": "include_identifiers", "live": False, "declared": True}],
    "secret": {"ref": {"env": "HOOK_SECRET"}, "state": "changed"}, "receiver": {"state": "not-checked", "detail": None},
    "place": "hooks.yaml:9:7", "replaces_url": None, "description": "of a catalogue", "owner": None,
}  # fmt: skip
_NEW = {**_STEP, "action": "subscribe", "id": None, "address": "prod/new/INDEXED", "name": "new"}
_NEW["url_digest"] = f"hmac-sha256:{'0' * 64}"
_SUMMARY = {
    "subscribe": 1,
    "resubscribe": 0,
    "unsubscribe": 1,
    "keep": 1,
    "leave": 1,
    "secret_unknown": 0,
}
_PLAN = {
    "format": "hooksync.plan/1", "created_at": "2026-06-01T00:00:00Z", "hooksync_version": "1", "state": None,
    "id": "0" * 32, "commit": None, "expires_at": None,
    "summary": _SUMMARY, "refusals": [], "warnings": ["doubtful (fix: look)"], "undeclared": [],
    "sources": "hooks.yaml", "state_missing": False,
    "selection": {"tenancy": [], "target": ["*"], "replace": []},
    "tenancies": [{
        "name": "prod", "server": "eu.preservica.com", "tenant": "BRAMA", "place": "hooks.yaml:4:3",
        "error": None, "live_count": 3, "declared_count": 2, "summary": _SUMMARY,
        "replacement": "create-first", "probe": "auto", "unknown_secret": "warn",
        "steps": [
            _STEP, {**_NEW, "trigger": "FULL_TEXT_INDEXED"},
            {**_STEP, "action": "unsubscribe", "id": "2" * 32, "reasons": [{"code": "duplicate", "text": "duplicate"}]},
            {**_STEP, "action": "leave", "id": "3" * 32, "address": None, "secret": None, "reasons": []},
        ],
    }],
}  # fmt: skip
_SUBSCRIPTION = {"id": "1" * 32, "url": f"https://h/?code={LITERAL}", "triggerType": "MOVED"}


def _json(*documents: object) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


def seeds(target: str) -> list[bytes]:
    """Return the inputs that a target begins with."""
    match target:
        case "yaml":
            files = sorted(_ROOT.glob("examples/*/*.y*ml"))
            return [
                *(text.encode() for text in (_WHOLE, _LEAKY, _ALIASES)),
                *(file.read_bytes() for file in files),
            ]
        case "answers":
            logged_in = {
                "success": True,
                "token": LITERAL,
                "refresh-token": LITERAL,
                "validFor": 15,
                "tenant": "BRAMA",
            }
            second = {"message": "needs.2fa", "continuationToken": LITERAL, "tenant": "BRAMA"}
            flagged = [
                {**_SUBSCRIPTION, "id": str(n), "includeIdentifiers": n}
                for n in ("true", "False", True, None)
            ]
            return _json(
                logged_in, second, [_SUBSCRIPTION], flagged, _SUBSCRIPTION, {"id": None}, []
            )
        case "receiver":
            right = {"challengeCode": CODE, "challengeResponse": SIGNATURE}
            others = [
                {**right, "challengeResponse": text}
                for text in (SIGNATURE.upper(), "0" * 64, LITERAL)
            ]
            return _json(
                right,
                *others,
                {**right, "challengeCode": LITERAL},
                [right],
                {"x": float("nan"), **right},
            )
        case "state":
            return [
                *(state_text(_STATE, key).encode() for key in (None, PlanKey(b"k" * 16))),
                state_text(State("75" * 16)).encode(),
                b"<<<<<<< HEAD\n{}\n=======\n",
            ]
        case "plan":
            return _json(_PLAN, {**_PLAN, "digest": digest(_PLAN)}, {**_PLAN, "tenancies": []})
    dates = (
        "Sun, 01 Mar 2026 12:00:30 GMT",
        "Sunday, 01-Mar-26 12:00:30 -0130",
        "Sun Mar  1 12:00:30 2026",
        "120",
    )
    return [date.encode() for date in dates]


_EVERYWHERE = r"""{ } [ ] : , " ' \\ / \n \r\n \t \0 \u2028 \x85 \u200b \ud800 \U0001f600 \x1b[2J null true false NaN
 Infinity -1 0 1e999 1e-999 -0.0 0x1F 99999999999999999999 {} [] {"a": 1} [[]] "" "\ud800" "\udc00\ud800" """
_OF_YAML = r"""? - ! & * << <<: |- >+2 %YAML 1.2\n---\n %TAG ! tag:x,2000:\n --- ... # @ ` ~ !!binary !!python/object:os
 &a *a &common *common *prod *hooks [*common,*more] {<<: *prod} yes off 0123 12:30:45 1:59:0.5 2026-01-01 .nan -.inf
 $ $$ ${ } ${HOST} ${LINES} ${NUL} ${HALF} ${EMPTY} ${GONE} ${GONE:-} ${HOST:-${HOST}} version x-a defaults tenancies
 tenant server owns limits unsubscribe 50% 101% replacement create-first probe auto subscriptions url trigger triggers
 secret env file include_identifiers credentials username password totp allow_http extra_triggers all
 http:// https://h/ //[::1]:80 @ %2e%2e ;x MOVED INDEXED FULL_TEXT_INDEXED \n\x20\x20 \n\x20\x20\x20\x20\x20\x20"""
_OF_JSON = """success token refresh-token tenant message needs.2fa continuationToken id url triggerType
 includeIdentifiers challengeCode challengeResponse format hooksync.state/1 hooksync.state/2 hooksync.plan/1
 url_salt salts entries intents salt n r p run fingerprint declared seen created_at code text tenancies steps action
 subscribe resubscribe unsubscribe keep leave address name reasons changes field live secret ref state same changed
 place server at adopted listed replaces unsettled applies ${HOST} ${GONE} <<<<<<< ======= 4503599627370496 9007199254740992 9007199254740993
 2026-06-01T00:00:00Z serial signature"""
_OF_HEADERS = """Mon Jan Feb 29 31 99 00 0001 9999 10000 23:59:60 24:00:00 GMT UTC EST Z +0000 -0000 +9999
 +99999999999999 , ; ( ) - : . AM PM \x20"""


def words(target: str) -> list[bytes]:
    """Return words of a target's format, and words that often break readers."""
    own = {"yaml": _OF_YAML, "header": _OF_HEADERS}.get(target, _OF_JSON)
    return [_unescaped(word) for word in f"{_EVERYWHERE} {own}".split()]


def _unescaped(word: str) -> bytes:
    if '"' in word:
        return word.encode()  # JSON itself reads the escapes
    return word.encode().decode("unicode_escape").encode("utf-8", "surrogatepass")
