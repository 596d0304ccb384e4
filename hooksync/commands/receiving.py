"""The receiver's side: which receiver and which secrets; the commands `verify` and `fire`.

The command line names them, or hooks files do; of these neither server nor log-in is needed. Prints
nothing itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain

from hooksync.api.inputs import hold_to_policy, read_files
from hooksync.commands.options import Format, ReceiverOptions, SecretOptions
from hooksync.config import declarations
from hooksync.config.files import read_event
from hooksync.config.references import reference_problems
from hooksync.config.resolve import resolve_subscriptions
from hooksync.config.secret_sources import generate_secret
from hooksync.core.errors import (
    ExitCode,
    FileError,
    Problem,
    SecretError,
    UsageError,
    some_of,
)
from hooksync.core.model import DeclaredSubscription, HookUrl, Location, Secret, SecretRef, Trigger
from hooksync.core.record import Record, asdict, replace
from hooksync.core.template import parse_template
from hooksync.core.urls import masked_url, split_url
from hooksync.output.receiver_json import fire_json, verify_json
from hooksync.reconcile.context import World
from hooksync.reconcile.session import Run, open_run
from hooksync.service.events import (
    SIGNATURE,
    Delivery,
    deliver,
    explain_signature,
    find_signers,
    make_event,
    signed,
)
from hooksync.service.http import CallContext
from hooksync.service.receivers import (
    ProbeResult,
    probe_all,
    quoted_answer,
    signs_events_in_disguise,
)

_LARGE = 1_000_000  # bytes of a large event
_PAUSE, _SHORT_PAUSE = 0.5, 0.1  # seconds before each piece of a slow event, alone and in the suite
_TAKE_FIX = "answer genuine events with 200, whatever they hold; see the receiver's log"
_REFUSE_FIX = "answer 401 to what none of your secrets signed: anybody could send it"
_FORGE_FIX = "refuse challenge codes that begin with preservica-webhook-auth"
_ID = re.compile("[0-9A-Za-z_-]{1,128}")
_HERE = Location("<command line>", 1, 1)
_NO_SERVER = declarations.Written(parse_template(""), _HERE)  # which no policy judges


class FireOptions(ReceiverOptions, frozen=True):
    """The flags of `fire`."""

    format: Format = "text"
    trigger: str | None = None
    event: str | None = None  # path of an event to send instead of a new one
    is_badly_signed: bool = False
    repeat: int = 1
    is_slow: bool = False
    is_suite: bool = False


class VerifyOptions(SecretOptions, frozen=True):
    """The flags of `verify`."""

    path: str = "-"  # of the event
    format: Format = "text"
    signature: str | None = None  # None: the recorded one


class KnownSecrets(Record, frozen=True):
    """What events may be signed with."""

    # the first answers challenges; others are known, to tell what is wrong by
    accepted: tuple[SecretRef, ...]
    secrets: Mapping[SecretRef, Secret]
    declared_for: Mapping[SecretRef, Sequence[str]]  # "tenancy/name"

    def told(self, ref: SecretRef) -> str:
        """Name a secret, with the subscriptions that it is declared for."""
        places = self.declared_for.get(ref)
        return f"{ref} (declared for {some_of(places)})" if places else str(ref)

    def document(self, ref: SecretRef) -> dict[str, object]:
        """Write the same as data."""
        return {"secret": ref.written(), "declared_for": list(self.declared_for.get(ref, ()))}


def find_secrets(options: SecretOptions, world: World) -> KnownSecrets:
    """Look up what --secret names and hooks files declare, where they are named or nothing else is.

    Warns of secrets of files that are not set. Raises SecretError where none is left, or one of the
    flags is not set.
    """
    declared: dict[SecretRef, list[str]] = {}
    if options.names_files or not options.secrets:
        document = read_files(options, world)
        chosen = declarations.select(document, options.tenancies, options.targets)
        hold_to_policy(options, chosen, world)
        for tenancy in chosen:
            for entry in tenancy.subscriptions:
                declared.setdefault(entry.secret, []).append(f"{tenancy.name}/{entry.name}")
    given = world.secrets.find_all(options.secrets)
    found, missing = world.secrets.look_up(declared)
    for problem in missing.values():
        world.terminal.warn(problem)
    if not (given or found):
        raise SecretError(
            Problem("no secret is known", "declare a subscription, or give --secret env:NAME")
        )
    accepted = tuple(given or found)
    world.output.redactor.learn(world.secrets.values())
    return KnownSecrets(accepted, {**given, **found}, declared)


def verify(options: VerifyOptions, world: World) -> ExitCode:
    """Tell which of the secrets an event was signed with. ERROR: with none of them."""
    known = find_secrets(options, world)
    body, headers = read_event(options.path, world.stdin)
    signature = options.signature or headers.get(SIGNATURE.lower())
    if signature is None:
        fix = (
            f"give --signature with the value of the header {SIGNATURE}; `hooksync listen --record`"
            " keeps it"
        )
        raise UsageError(Problem("there is no signature to verify", fix))
    signers = find_signers(known.secrets, body, signature)
    reason = "" if signers else explain_signature(known.secrets, body, signature)
    if options.format == "json":
        signed_with = [known.document(ref) for ref in signers]
        world.terminal.result(verify_json(signed_with, reason), "json")
    elif signers:
        names = " and ".join(map(known.told, signers))
        world.terminal.show([("green", f"signed with {names}")])
    else:
        tried = ", ".join(map(str, known.secrets))
        world.terminal.show([("red", f"signed with none of {tried}"), ("", f"  {reason}")])
    return ExitCode.DONE if signers else ExitCode.ERROR


@contextmanager
def open_receiver(
    options: ReceiverOptions, world: World
) -> Iterator[tuple[Run, DeclaredSubscription]]:
    """Open the connections to the one receiver that is named.

    Raises UsageError, FileError or Refused.
    """
    tenancy = _named_by_flags(options) if options.url else _named_by_address(options, world)
    if problems := list(reference_problems([tenancy])):
        raise FileError(*problems)
    private = hold_to_policy(options, [tenancy], world)
    if (
        options.url and not options.policy
    ):  # who runs this chose the address, and no file that somebody else wrote
        private = "quoted"
    declared, *_ = resolve_subscriptions(tenancy, world.environ)
    if options.url:  # a shell has filled in what it was given
        declared = replace(
            declared, url=replace(declared.url, shown=masked_url(declared.url.shown))
        )
    with open_run((), world, timeout=options.timeout, parallelism=1, private=private) as run:
        yield run, declared


def _named_by_address(options: ReceiverOptions, world: World) -> declarations.TenancyDeclaration:
    """Find a subscription of the hooks files by `tenancy/name` or `tenancy/name/TRIGGER`."""
    if not options.address:
        raise UsageError(
            Problem(
                "no receiver is named", "name an address (tenancy/name), or give --url and --secret"
            )
        )
    document = read_files(options, world)
    globs = [options.address if options.address.count("/") > 1 else f"{options.address}/*"]
    declarations.refuse_unmatched(
        "ADDRESS", globs, declarations.addresses(document.tenancies), "address"
    )
    entry, *_ = declarations.select(document, (), globs)
    return declarations.narrowed(entry, globs)


def _named_by_flags(options: ReceiverOptions) -> declarations.TenancyDeclaration:
    """Declare what --url and --secret name, so that all that holds for files holds for it."""
    try:
        template = parse_template(options.url or "")
    except ValueError as error:
        fix = "write ${NAME}, between single quotation marks, and $$ for a dollar"
        raise UsageError(Problem(f"--url holds {error}", fix)) from None
    if template.literal is not None and (
        problem := declarations.url_problem(template.literal, "--url", None)
    ):
        raise UsageError(problem)
    _, name, _ = split_url(masked_url(template.text))
    entry = declarations.SubscriptionDeclaration(
        name, declarations.Written(template, _HERE), (Trigger(""),), options.secrets[0], _HERE
    )
    others = (replace(entry, secret=ref, triggers=()) for ref in options.secrets[1:])
    return declarations.TenancyDeclaration(
        "", declarations.Settings(server=_NO_SERVER), (entry, *others), _HERE
    )


class Result(Record, frozen=True):
    """How a receiver took one thing that was sent."""

    name: str
    status: int | None
    seconds: float
    detail: str  # one line, safe to show
    fix: str  # "": it took it as it should

    @property
    def state(self) -> str:
        """Whether it took it as it should."""
        return "failed" if self.fix else "passed"

    def document(self) -> dict[str, object]:
        """Write it as data."""
        told = {
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "detail": self.detail or None,
        }
        return {**asdict(self), **told, "fix": self.fix or None}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Write it as text."""
        took = f"{self.status or ''} in {self.seconds:.3f} s".strip()
        yield "red" if self.fix else "green", f"{self.state:<10}{self.name:<26}{took}"
        yield from (
            ("", f"            {text}")
            for text in (self.detail, self.fix and f"  fix: {self.fix}")
            if text
        )


def fire(options: FireOptions, world: World) -> ExitCode:
    """Send an event, or all that a receiver must bear.

    DONE: all was taken, or refused, as it should be.
    """
    given = read_event(options.event, world.stdin)[0] if options.event else None
    with open_receiver(options, world) as (run, receiver):
        secrets = run.secrets.find_all(options.secrets or (receiver.secret,))
        world.output.redactor.learn(run.secrets.values())
        trigger = Trigger.named(options.trigger) if options.trigger else receiver.trigger
        now = datetime.fromtimestamp(world.clock.now(), UTC)
        make = partial(make_event, trigger.wire or "FULL_TEXT_INDEXED", now)
        send = partial(_send, receiver.url, run.context, is_telling=not options.is_suite)
        first = next(iter(secrets.values()))
        if options.is_suite:
            results: Iterator[Result] = chain(
                _suite(send, secrets, make), _challenged(receiver.url, first, run)
            )
        else:
            results = _repeated(send, first, given if given is not None else make(), options)
        found = []
        for each in results:
            found.append(each)
            if options.format == "text":
                world.terminal.show([*each.lines()])
            if world.stop.is_set():
                return ExitCode.INTERRUPTED
    counts = Counter(each.state for each in found)
    if options.format == "json":
        documents = [each.document() for each in found]
        world.terminal.result(
            fire_json(receiver.url.shown, documents, failed=counts["failed"]), "json"
        )
    elif options.is_suite:
        world.terminal.show(
            [("", ""), ("", f"Suite: {counts['passed']} passed, {counts['failed']} failed.")]
        )
    return ExitCode.ERROR if counts["failed"] else ExitCode.DONE


def _send(
    url: HookUrl,
    context: CallContext,
    name: str,
    sent: Delivery,
    *,
    is_telling: bool,
    is_wanted: bool = True,
) -> Result:
    """Send an event that is to be taken, or not.

    `is_telling`: what the receiver answers, where it passed too.
    """
    begun = context.clock.monotonic()
    answer = deliver(url, sent, context)
    seconds = context.clock.monotonic() - begun
    if isinstance(answer, ProbeResult):
        return Result(name, None, seconds, answer.detail, answer.fix)
    right, fix = (range(200, 300), _TAKE_FIX) if is_wanted else (range(400, 500), _REFUSE_FIX)
    is_right = answer.status in right
    said = (quoted_answer(answer, context) or "") if is_telling or not is_right else ""
    return Result(name, answer.status, seconds, said, "" if is_right else fix)


def _challenged(url: HookUrl, secret: Secret, run: Run) -> Iterator[Result]:
    """Challenge a receiver with a code, and with one that could forge an event."""
    clock = run.context.clock
    begun = clock.monotonic()
    for found in probe_all([(url, secret)], run.pool, run.context).values():
        yield Result("challenge", None, clock.monotonic() - begun, found.detail, found.fix)
    begun = clock.monotonic()
    is_signed = signs_events_in_disguise(url, secret, run.context)
    detail = {True: "it signs one", None: "no clear answer"}.get(is_signed, "")
    yield Result(
        "code that could forge", None, clock.monotonic() - begun, detail, detail and _FORGE_FIX
    )


def _repeated(
    send: partial[Result], secret: Secret, body: bytes, options: FireOptions
) -> Iterator[Result]:
    is_wrong = options.is_badly_signed
    sent = signed(
        body,
        Secret(generate_secret()) if is_wrong else secret,
        pause=_PAUSE if options.is_slow else 0.0,
    )
    for _ in range(options.repeat):
        yield send("event, signed wrong" if is_wrong else "event", sent, is_wanted=not is_wrong)


def _suite(
    send: partial[Result], secrets: Mapping[SecretRef, Secret], make: partial[bytes]
) -> Iterator[Result]:
    (_, secret), *others = secrets.items()
    first = signed(make(), secret)
    genuine = {
        "event in chunks": first,
        "the same again": first,
        "event as a whole": signed(make(), secret, is_chunked=False),
        "slow event": signed(make(), secret, pause=_SHORT_PAUSE),
        "event of 1 MB": signed(make(filling=_LARGE), secret),
        "unknown trigger": signed(make_event("A_TRIGGER_THAT_IS_NEW", *make.args[1:]), secret),
        **{f"signed with {ref}": signed(make(), other) for ref, other in others},
    }
    for name, sent in genuine.items():
        yield send(name, sent)
    another = signed(make(), secret)
    forged = {
        "wrong signature": signed(make(), Secret(generate_secret())),
        "no signature": Delivery(make(), None),
        "changed body": replace(another, body=another.body + b" "),
    }
    for name, sent in forged.items():
        yield send(name, sent, is_wanted=False)
