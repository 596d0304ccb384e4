"""The options of `hooksync sandbox`, their help, and the account where no option names another.

Apart from the command, and without imports, so that the help need not load the server.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# Sample values for a server on loopback; they protect nothing.
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"  # noqa: S105  shown in the help
PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable that replaces it
TENANT = "DEMO"
ROLE = "ROLE_SDB_MANAGER_USER"

_EPILOG = f"""\
It listens on 127.0.0.1 only. The password is the value of ${PASSWORD_ENV}, or
"{PASSWORD}" if that is not set. Ctrl-C or SIGTERM ends it.

A fault is KIND@CALL[:TIMES[:SKIP]]. TIMES: how often it happens (default: 1;
* is always). SKIP: how many such calls go right first.
  CALL  login, complete-2fa, refresh, external, details, version, list,
        subscribe, unsubscribe, any
  KIND  status-N        this status, with JSON
        gateway-N       this status, with a gateway's HTML page
        retry-after-S, retry-after-date-S     429, with Retry-After
        busy-S          503, with Retry-After
        slow-S          waits S seconds, then does it and answers
        commit-slow-S   does it, then waits S seconds before it answers
        cut             cuts the connection, does nothing
        commit-cut      does it, then cuts the connection
        commit-502      does it, then answers as a failing gateway
        half-body       does it, then sends half of the answer
        doubled         does it twice, as where a proxy repeats a call;
                        answers as the second time
        lie-id          a subscribe: does nothing, tells an id of nothing
        same-id         a subscribe: does nothing, tells the id of the
                        newest subscription
        commit-same-id  likewise, but does it
        expired-token   401, and the token is dropped
        empty-body, not-json, wrong-shape, big    200, with such a body
        redirect, redirect-307                    to another path
        echo            400, quoting the call with its secrets

A list lag is S, additions=S or removals=S: what is made, or what is removed,
shows in the list S seconds later. All else goes by what is there: 409, 404,
events, the file of --data; started from that file, the list shows all of it.

traits, for behaviour of the real service that is not known:
  refuse-duplicates   a second subscription with the same URL and trigger
                      gets 409
  answer-without-id   the answer to a new subscription does not hold its id
  minimal-list        the list shows id, url and triggerType, nothing else
  string-flags        includeIdentifiers is the text "true" or "false"
  normalise-urls      host in lower case, no default port, / for no path
  number-ids          ids are numbers, in the list and in answers
  totp-once           a code of the second factor works once
  no-challenge        receivers are not challenged, so they need not run

example:
  export HOOK_SECRET="$(openssl rand -hex 32)"
  hooksync sandbox --receiver catalogue=HOOK_SECRET --fault status-503@list:2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hooksync sandbox`, and its help, to a parser."""
    parser.epilog = _EPILOG
    service = parser.add_argument_group("the service")
    service.add_argument("--port", type=int, default=0, metavar="N", help="its port (default: any free port)")
    service.add_argument("--data", metavar="PATH", help="keep the subscriptions in this file, secrets too")
    service.add_argument("--latency", type=float, default=0.0, metavar="MS", help="milliseconds that each call takes")
    service.add_argument("--fault", action="append", default=[], metavar="SPEC", help="make a call fail, see below")
    service.add_argument(
        "--trait", action="append", default=[], metavar="NAME", help="behave in another way, see below"
    )
    service.add_argument(
        "--list-lag", action="append", default=[], metavar="LAG", help="make the list late by seconds, see below"
    )
    service.add_argument("--extra-trigger", action="append", default=[], metavar="NAME", help="accept this trigger too")
    _add_account(parser)
    _add_receivers(parser)


def _add_account(parser: argparse.ArgumentParser) -> None:
    account = parser.add_argument_group("the account")
    account.add_argument("--tenant", action="append", metavar="NAME", help=f"repeatable (default: {TENANT})")
    account.add_argument("--username-env", metavar="ENV", help=f"holds the name (default: {USERNAME})")
    account.add_argument("--password-env", metavar="ENV", help=f"holds the password (default: {PASSWORD_ENV})")
    account.add_argument("--totp-env", metavar="ENV", help="holds a base32 seed: require a second factor")
    account.add_argument("--role", action="append", metavar="ROLE", help=f"repeatable (default: {ROLE})")
    account.add_argument(
        "--token-seconds", type=float, default=900.0, metavar="S", help="lifetime of a token (default: 900)"
    )


def _add_receivers(parser: argparse.ArgumentParser) -> None:
    receivers = parser.add_argument_group("receivers")
    receivers.add_argument(
        "--receiver",
        action="append",
        default=[],
        metavar="NAME=ENV,...",
        help="run one with these secrets; the first answers challenges",
    )
    receivers.add_argument("--receiver-port", type=int, default=0, metavar="N", help="their port")
