import socket
import string
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.urls import (
    is_like_key,
    is_loopback,
    is_respelling,
    literal_address,
    masked_url,
    owns_url,
    protects_url,
    server_fault,
    server_url,
    url_fault,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://fn.example.net/api/hook?code=$KEY",
        "HTTPS://FN.example.net",
        "http://localhost:8080",
        "https://h?x=1",
        "https://h:65535/a@b",
        "https://[2001:db8::1]:8443/x",
        "https://xn--bcher-kva.example/ü",
        "https://h/a\\b",
    ],
)
def test_a_valid_receiver_url_has_no_fault(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://h/x", "neither http"),
        ("//h/x", "neither http"),
        ("https:/h/x", "neither http"),
        ("javascript://h/%0a", "neither http"),
        ("https://", "has a host that is neither"),
        ("https:///x", "has a host that is neither"),
        ("https://:443/x", "has a host that is neither"),
        ("https://h:port/", "port"),
        ("https://h:65536/", "port"),
        ("https://h:0/", "port"),
        ("https://h:0443/", "port"),
        ("https://h:٤٤٣/", "port"),
        ("https://a:b:1/", "has a host that is neither"),
        ("https://::1/", "has a host that is neither"),
        ("https://h\\evil/", "has a host that is neither"),
        ("https://[::1/", "[::1]"),
        ("https://[h]/", "[::1]"),
        ("https://user@h/", "user information"),
        ("https://@h/", "user information"),
        ("https://h/x#y", "fragment"),
        ("https://bücher.example/", "neither a name in ASCII"),
        ("https://p\u0430ypal.com:8443/", "neither a name in ASCII"),
        ("https://\uff45xample.org/", "name in ASCII"),
        ("https://h/a b", "white space"),
        (" https://h/", "white space"),
        ("https://h/\n", "white space"),
        ("https://h/\u2028", "white space"),
        ("https://h/\u200b", "white space"),
        ("https://h/\0", "white space"),
    ],
)
def test_an_invalid_receiver_url_has_a_fault(url: str, fault: str) -> None:
    assert fault in (url_fault(url) or "")


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("eu.preservica.com", "https://eu.preservica.com"),
        ("EU.Preservica.com:443", "https://eu.preservica.com"),
        ("https://eu.preservica.com/", "https://eu.preservica.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:80/", "http://localhost"),
        ("[::1]:8080", "https://[::1]:8080"),
        ("[::1]", "https://[::1]"),
        ("[::1]:443", "https://[::1]"),
        ("eu.preservica.com.", "https://eu.preservica.com"),
        ("http://eu.preservica.com.:8080/", "http://eu.preservica.com:8080"),
        ("[2001:DB8::1]", "https://[2001:db8::1]"),
        ("localhost:8443", "https://localhost:8443"),
    ],
)
def test_server_has_one_normal_form(server: str, url: str) -> None:
    assert server_fault(server) is None
    assert server_url(server) == url
    assert server_url(url) == url


@pytest.mark.parametrize(
    "server",
    [
        "",
        "https://",
        "ftp://h",
        "h/x",
        "https://h/x",
        "https://h?x",
        "h#x",
        "u@h",
        "::1",
        "h h",
        "h\n",
        "h:x",
        "[::1",
        "[0:0::1]",
        "[::ffff:127.0.0.1]",
        "b\u00fccher.example",
    ],
)
def test_an_invalid_server_has_a_fault(server: str) -> None:
    assert server_fault(server)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "127.0.0.1", "127.255.1.2", "[::1]", "[0::1]", "[::ffff:127.0.0.1]"],
)
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


OWNED = [
    ("https://h/api", "https://h/api"),
    ("https://h/api", "https://h/api/"),
    ("https://h/api", "https://h/api/x"),
    ("https://h/api", "https://h/api?x"),
    ("https://h/api", "HTTPS://H:443/api?x=/../y"),
    ("HTTPS://H:443/api", "https://h/api"),
    ("https://h/api/", "https://h/api/x"),
    ("https://h", "https://h"),
    ("https://h", "https://h?x"),
    ("https://h:8443", "https://h:8443/x"),
    ("https://h/api", "https://h/api/.well-known/x"),
    ("https://h/api", "https://h/api/a..b"),
]

NOT_OWNED = [
    ("https://h/", "https://h/a/../b"),
    ("https://h", "https://h/%2e%2e/x"),
    ("https://h/api", "https://h/apix"),
    ("https://h/api", "https://h/API"),
    ("https://h/api", "https://h/"),
    ("https://h/api/", "https://h/api"),
    ("https://h/api", "http://h/api"),
    ("https://h/api", "https://h:8443/api"),
    ("https://h/api", "https://h/api/../x"),
    ("https://h/api", "https://h/api/%2e%2E/x"),
    ("https://h/api", "https://h/api/.%2e/x"),
    ("https://h/api", "https://h/api/..%2fx"),
    ("https://h/api", "https://h/api/x%5c..%5c..%5cy"),
    ("https://h/api", "https://h/api/..;/x"),
    ("https://h/api", "https://h/api/.."),
    ("https://h/api", "https://h/api/./x"),
    ("https://h/api", "https://h/api/.\t./x"),
    ("https://h/api", "https://h/api%2fx"),
    ("https://h", "https://h.evil.org/"),
    ("https://h", "https://h@evil/"),
    ("https://h", "https://evil@h/"),
    ("https://h", "https://h:443@evil/"),
    ("https://h", "https://h\\@evil/"),
    ("https://h", "https://h/a\\b"),
    ("https://h", "https://h/a%252e%252e/b"),
    ("https://h", "https://h/a%zz"),
    ("https://h", "https://evil/?https://h/"),
    ("https://h", "ftp://h/"),
    ("https://h", ""),
]


@pytest.mark.parametrize(("prefix", "url"), OWNED)
def test_a_prefix_owns_the_urls_under_it(prefix: str, url: str) -> None:
    assert owns_url(frozenset([prefix]), url)
    assert owns_url(frozenset(["https://other", f"{prefix}/deeper", prefix]), url)


@pytest.mark.parametrize(("prefix", "url"), NOT_OWNED)
def test_a_prefix_does_not_own_urls_that_only_look_similar(prefix: str, url: str) -> None:
    assert not owns_url(frozenset([prefix]), url)


PROTECTED = {  # by prefix: all that some server or client may take for a URL under it
    "https://vendor.example": [
        "https://vendor.example/h",
        "https://user:pw@vendor.example/h",
        "https://other@user@vendor.example/h",
        "https://vendor.example./h",
        "http://vendor.example/h",
        "HTTP://VENDOR.example:443/h",
        "https://vendor.example:0443/h",
        "https://vendor.example:/h",
        "https://vendor.example/a/../h",
        "https://vendor.example/./h",
        "https://vendor.example/h%2f..%2fx",
        "https://vendor.example\\h",
        "https://other\\@vendor.example/h",
        "https://vendor.example\\@other/h",
        "https:\\\\vendor.example/h",
        "vendor.example/h",
        "https://vendor.example/h%0a",
        "https://vendor.example/..",
        "https://vendor.example/h\u200b",
        "https://vendor\u200b.example/h",
        "https://ven\ndor.example/h",
        "https://vendor%2Eexample/h",
        "https://vendor\u3002example/h",
        "https://\uff56endor.example/h",
    ],
    "https://b\xfccher.example": [
        "https://xn--bcher-kva.example/h",
    ],
    "https://127.0.0.1": [
        "https://127.1/h",
        "https://0x7f000001/h",
    ],
    "https://[::ffff:127.0.0.1]:8443": [
        "https://127.0.0.1:8443/h",
    ],
    "https://[::1]": [
        "https://[0:0::1]/h",
    ],
    "https://gateway/vendor": [
        "https://gateway/vendor?x",
        "https://gateway/Vendor/h",
        "https://gateway//vendor/h",
        "https://gateway/vendor;x/h",
        "https://gateway/%76endor/h",
        "https://gateway/mine/%2e%2e/vendor",
        "https://gateway/mine%252f",
        "https://gateway/mine%u002e",
        "https://gateway/..;x/vendor",
    ],
    "https://gateway/%2e%2e/x": [
        "https://gateway/mine",
    ],
}
NOT_PROTECTED = {  # by prefix
    "https://vendor.example": [
        "https://vendor.example.org/h",
        "https://vendor.example:8443/h",
        "https://other/?u=https://vendor.example/",
    ],
    "https://vendor.example:8443": [
        "https://vendor.example/h",
    ],
    "https://gateway/vendor": [
        "https://gateway/a%20b/hook",
        "https://gateway/vendors",
        "https://gateway/mine/vendor?q=../",
    ],
    "https://127.0.0.1": [
        "https://127.0.0.2/h",
    ],
}


@pytest.mark.parametrize("prefix", PROTECTED)
def test_protect_protects_in_doubt(prefix: str) -> None:
    for url in PROTECTED[prefix]:
        assert protects_url(frozenset(["https://other.example", prefix]), url), url


@pytest.mark.parametrize("prefix", NOT_PROTECTED)
def test_protect_leaves_other_urls_to_their_owners(prefix: str) -> None:
    for url in NOT_PROTECTED[prefix]:
        assert not protects_url(frozenset([prefix]), url), url


hosts = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,3})?(:[1-9][0-9]{0,3})?", fullmatch=True)
segments = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
paths = st.lists(segments, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))


@given(hosts, paths, paths, hosts, paths)
def test_prefix_owns_exactly_the_paths_that_begin_with_its_segments(
    host: str, path: str, rest: str, other_host: str, other_path: str
) -> None:
    prefix = f"https://{host}{path}"
    prefixes = frozenset([prefix])
    assert owns_url(prefixes, f"{prefix}{rest}")
    assert owns_url(prefixes, f"HTTPS://{host.upper()}{path}{rest}?q")
    own, other = path.split("/"), other_path.split("/")
    is_under = (
        host.removesuffix(":443") == other_host.removesuffix(":443") and other[: len(own)] == own
    )
    assert owns_url(prefixes, f"https://{other_host}{other_path}") is is_under


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("https://h.example/a", "https://H.example:443/a", True),
        ("https://h.example/%7Ea", "https://h.example/~A", True),
        ("https://h.example/a", "https://h.example/a/", True),
        ("https://h.example", "https://h.example/", True),
        ("https://h.example/a", "https://h.example/b", False),
        ("https://h.example/a", "https://h.example/a?b", False),
        ("https://h.example/a", "http://h.example/a", False),
        ("https://h.example/a", "https://other.example/a", False),
    ],
)
def test_a_different_spelling_of_a_url_is_recognised_and_a_different_url_is_not(
    one: str, other: str, is_one: bool
) -> None:
    assert is_respelling(one, other) is is_one


@given(
    st.ip_addresses(v=4),
    st.sampled_from(["{}", "{:#x}", "0{:o}"]),
    st.integers(0, 3),
    st.sampled_from(["", "."]),
)
def test_an_ipv4_address_has_one_spelling(
    address: IPv4Address, form: str, dots: int, end: str
) -> None:
    parts = [*address.packed[:dots], int.from_bytes(address.packed[dots:], "big")]
    host = ".".join(map(form.format, parts))
    assert IPv4Address(socket.inet_aton(host)) == address  # operating systems accept it
    is_plain = f"{host}{end}" == str(address)
    assert literal_address(f"{host}{end}") == (address if is_plain else None)
    assert (server_fault(f"{host}{end}") is None) is is_plain


@pytest.mark.parametrize("host", ["1.2.3.4.5", "256.1.1.1", "08.1", "0x", "a.1", "a.0x7f", "1."])
def test_a_host_that_ends_in_a_number_and_is_no_address_is_refused(host: str) -> None:
    assert "has a host that is neither" in (server_fault(host) or "")


def test_an_ipv6_address_is_recognised_between_brackets() -> None:
    assert str(literal_address("[2001:DB8:0::1]")) == "2001:db8::1"
    assert str(literal_address("[::ffff:127.0.0.1]")) == "127.0.0.1"


LETTERS = string.ascii_letters + string.digits
RANDOM = "a1B2c3D4e5F6g7H8i9J0k1L2"
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
HEX = "9495ddbf7d4a0b9f030a3411c87f967d"
WORKFLOW = "https://prod-00.westeurope.logic.azure.com/workflows"
LAMBDA = "https://q2j4x5abcdefghij.lambda-url.eu-west-1.on.aws"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ex.org/a?code=KEY&flag&b=", "https://ex.org/a?code=***&***&***"),
        ("https://user:pw@ex.org/a", "https://***@ex.org/a"),
        ("https://ex.org/a#KEY", "https://ex.org/a#***"),
        ("https://ex.org/a", "https://ex.org/a"),
        ("https://ex.org?KEY", "https://ex.org?***"),
        ("weird?a=KEY", "***"),
        # URLs of well-known receivers
        (
            f"https://hooks.slack.com/services/T02ABCDEF/B03GHIJKL/{RANDOM}",
            "https://hooks.slack.com/services/***/***/***",
        ),
        (
            f"https://outlook.office.com/webhook/{UUID}@{UUID}/IncomingWebhook/{HEX}/{UUID}",
            "https://outlook.office.com/webhook/***/IncomingWebhook/***/***",
        ),
        (
            f"{WORKFLOW}/{HEX}/triggers/manual/paths/invoke?api-version=1&sig={RANDOM}",
            f"{WORKFLOW}/***/triggers/manual/paths/invoke?api-version=***&sig=***",
        ),
        (
            "https://fn.azurewebsites.net/api/hook?code=KEY==",
            "https://fn.azurewebsites.net/api/hook?code=***",
        ),
        (
            "https://fn.azurewebsites.net/api/hook?S0VZLQ==",
            "https://fn.azurewebsites.net/api/hook?***",
        ),
        (
            "https://fn.azurewebsites.net/api/hook?S0VZLQ=",
            "https://fn.azurewebsites.net/api/hook?***",
        ),
        (
            f"https://fn.azurewebsites.net/api/hook?{HEX}=1",
            "https://fn.azurewebsites.net/api/hook?***",
        ),
        (f"{LAMBDA}/prod/preservica-hook", f"{LAMBDA}/prod/preservica-hook"),
        (
            "https://hooks.zapier.com/hooks/catch/1234567/o2k4x9q/",
            "https://hooks.zapier.com/hooks/catch/1234567/***/",
        ),
        (
            f"https://discord.com/api/webhooks/123456789012345678/Ab3-x9_{RANDOM}_{RANDOM}",
            "https://discord.com/api/webhooks/***/***",
        ),
        (
            f"https://api.telegram.org/bot123456789:AAF-{RANDOM}/send",
            "https://api.telegram.org/***/send",
        ),
        # words, numbers, and slugs made of both
        (
            url := "https://h/api/v2beta/preservica-webhook-2024-production/oauth2/hook12/000123",
            url,
        ),
        (
            url
            := "https://h/IncomingWebhook/onPreservicaEvent/my-catalogue-of-long-names/k8s-webhook-receiver",
            url,
        ),
        (url := "https://h/My%20Documents%20folder/a@b/2024-11-26T10", url),
        # user information in odd forms, parameters, hosts that look like others
        ("//user:KEY@h/x", "***"),
        ("mailto:user:KEY@h", "***"),
        ("https://user%3AKEY%40h.example/a", "***"),
        ("https:\\\\user:KEY@h", "***"),
        ("https:/user:KEY@h", "***"),
        ("user:KEY@h", "***"),
        ("https://user:KEY/x@h/z", "***"),
        ("https://user:KEY?x@h", "***"),
        ("https://user:KEY\\x", "***"),
        ("https://user%3AKEY%40h/", "***"),
        ("https://h;user=KEY/x", "***"),
        ("https:///user:KEY@h", "***"),
        ("\thttps://user:KEY@h@g/", "***"),
        (f"https://h/x;jsessionid={RANDOM}?y=KEY;w=KEY", "https://h/***?y=***;w=***"),
        ("https://p\u0430ypal.com/x", "***"),
        ("https://p\u0430ypal:8443/x", "***"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://h/bcdfghjklmnp", "https://h/***"),
    ],
)
def test_a_live_url_is_shown_without_parts_that_may_be_keys(url: str, shown: str) -> None:
    assert masked_url(url) == shown
    assert "KEY" not in masked_url(url)


@given(
    st.sampled_from(["", "https://", "https://u:p@h/", "//"]),
    st.text(max_size=60),
)
def test_masking_a_masked_url_changes_nothing(start: str, text: str) -> None:
    shown = masked_url(start + text)
    assert masked_url(shown) == shown


@pytest.mark.parametrize(
    "alphabet", ["0123456789abcdef", LETTERS, f"{LETTERS}-_", LETTERS.lower(), LETTERS.upper()]
)
def test_a_random_segment_of_a_path_is_hardly_ever_taken_for_words(alphabet: str) -> None:
    random = Random(1)
    made = ["".join(random.choices(alphabet, k=24)) for _ in range(1000)]
    assert sum(map(is_like_key, made)) >= 960
