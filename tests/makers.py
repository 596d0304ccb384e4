"""Functions that make subscriptions and tenancies with defaults, and strategies that draw them."""

from __future__ import annotations

from hypothesis import strategies as st

from hooksync.core.model import (
    CredentialRefs,
    DeclaredSubscription,
    HookUrl,
    LiveSubscription,
    Location,
    SecretRef,
    Server,
    Tenancy,
    Trigger,
    UnsubscribeLimit,
)
from hooksync.core.urls import masked_url

HERE = Location("hooks.yaml", 1, 1)
SECRET = SecretRef("env", "HOOK_SECRET", HERE)
INDEXED = Trigger("FULL_TEXT_INDEXED")
MOVED = Trigger("MOVED")


def declared(
    url: str = "https://hooks.example.org/a",
    trigger: Trigger = MOVED,
    *,
    name: str = "catalogue",
    include_identifiers: bool = True,
    secret: SecretRef = SECRET,
) -> DeclaredSubscription:
    """Return a declared subscription of the tenancy `prod`."""
    return DeclaredSubscription(
        "prod",
        name,
        HookUrl(url, url),
        trigger,
        secret,
        HERE,
        include_identifiers=include_identifiers,
    )


def live(
    identifier: str = "1" * 32,
    url: str = "https://hooks.example.org/a",
    trigger: Trigger = MOVED,
    *,
    include_identifiers: bool | None = True,
) -> LiveSubscription:
    return LiveSubscription(identifier, HookUrl(masked_url(url), url), trigger, include_identifiers)


def tenancy(*subscriptions: DeclaredSubscription, **settings: object) -> Tenancy:
    """Return the tenancy `prod`, which owns everything unless `settings` change that."""
    refs = (
        SecretRef("env", f"PRESERVICA_{name}") for name in ("USERNAME", "PASSWORD", "2FA_TOKEN")
    )
    defaults: dict[str, object] = {
        "name": "prod",
        "server": Server("https://eu.preservica.com"),
        "tenant": "BRAMA",
        "allow_http": False,
        "credentials": CredentialRefs(*refs),
        "owns": "all",
        "limit": UnsubscribeLimit("50%"),
        "replacement": "create-first",
        "probe": "auto",
        "location": HERE,
    }
    return Tenancy(subscriptions=subscriptions, **(defaults | settings))  # type: ignore[arg-type]


URLS = st.sampled_from(
    [
        "https://hooks.example.org/a",
        "https://HOOKS.example.org:443/a",
        "https://hooks.example.org/a/b?code=tenthousandkeys",
        "https://hooks.example.org/ab",
        "https://hooks.example.org.evil.example/a",
        "http://hooks.example.org/a",
        "https://vendor.example/x",
        "https://vendor.example",
        "https://vendor.example/",
    ]
)
TRIGGERS = st.sampled_from([MOVED, INDEXED, Trigger("ENTITY_DELETED")])
OWNS = st.sampled_from(
    [
        "made",
        "all",
        "none",
        frozenset(["https://hooks.example.org/a"]),
        frozenset(["https://vendor.example", "https://hooks.example.org"]),
    ]
)
FLAGS = st.sampled_from([True, False, None])


@st.composite
def lists_of_live(draw: st.DrawFn) -> tuple[LiveSubscription, ...]:
    """Draw live subscriptions. Their ids differ; their identities may repeat."""
    number = draw(st.integers(0, 12))
    return tuple(
        live(f"{index:032x}", draw(URLS), draw(TRIGGERS), include_identifiers=draw(FLAGS))
        for index in range(number)
    )


@st.composite
def tenancies(draw: st.DrawFn, **settings: object) -> Tenancy:
    """Draw a tenancy as a checked hooks file declares it.

    No identity repeats. If `owns` has prefixes, each URL is under one of them.
    """
    from hooksync.core.urls import owns_url

    owns = draw(OWNS)
    wanted: dict[object, DeclaredSubscription] = {}
    for index in range(draw(st.integers(0, 8))):
        one = declared(
            draw(URLS),
            draw(TRIGGERS),
            name=f"hook-{index}",
            include_identifiers=draw(st.booleans()),
        )
        if isinstance(owns, str) or owns_url(owns, one.url.full):
            wanted.setdefault(one.key, one)
    return tenancy(*wanted.values(), **({"owns": owns} | settings))
