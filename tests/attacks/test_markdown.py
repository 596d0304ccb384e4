"""Texts that could be markup in a comment of a pull request, which shows a plan. Each must stay
text, and stay in its place.
"""

from __future__ import annotations

from itertools import product

import pytest

from tests.attacks.scene import FIELDS, SHOWN, leaks, play, steers
from tests.lanes import covering
from tests.report.test_markdown import assert_well_formed

TEXTS = {
    "a link": "[owned](https://evil.example)",
    "a link by reference": "[owned][1]\n\n[1]: https://evil.example",
    "a bare link": "https://evil.example/owned",
    "a link without a scheme": "www.evil.example/owned",
    "an address": "owned@evil.example",
    "an autolink": "<https://evil.example/owned>",
    "an image": "![owned](https://evil.example/pixel.png)",
    "a mention": "@octocat owned",
    "a team": "@org/admins owned",
    "an issue": "fixes #1 owned",
    "an issue elsewhere": "closes octo/cat#1, GH-1 owned",
    "a commit": "octo/cat@0123456789abcdef0123456789abcdef01234567 owned",
    "a script": "<script>alert('owned')</script>",
    "a frame": '<iframe src="https://evil.example/owned">',
    "an image in HTML": '<img src=x onerror="owned()">',
    "a comment": "<!-- owned -->",
    "a comment that hides the rest": "owned <!--",
    "our own marker": "<!-- hooksync:plan -->owned",
    "the end of a fold": "</details>owned",
    "the end of a code span": "</code>owned<b>",
    "a fence": "\n```\nowned\n",
    "a longer fence": "``````````owned",
    "a fence of tildes": "\n~~~\nowned\n",
    "a heading": "\n# owned\n",
    "a heading below": "owned\n===\n",
    "a table": "|owned|\n|-|\n|x|",
    "a list": "\n- [x] owned\n",
    "a footnote": "[^1] owned\n\n[^1]: x",
    "math": "$\\href{https://evil.example}{owned}$",
    "emphasis": "**owned** __owned__ ~~owned~~",
    "an entity": "&lt;script&gt;owned",
    "an entity of a mention": "&#64;octocat owned",
    "a backslash": "\\`owned\\",
    "an emoji": ":boom: owned",
    "an alert": "\n> [!CAUTION]\n> owned",
    "a diff that lies": "\n+   owned        MOVED\n",
}
SHOWN_AS_MARKUP = [
    (field, shown)
    for field, (_, places) in FIELDS.items()
    for shown in places
    if shown.endswith("Markdown")
]
ATTACKS = [(field, text, shown) for (field, shown), text in product(SHOWN_AS_MARKUP, TEXTS)]


@pytest.mark.parametrize(("field", "text", "shown"), covering(ATTACKS, every=2))
def test_no_text_of_a_peer_becomes_markup_in_a_comment(field: str, text: str, shown: str) -> None:
    seen = play(SHOWN[shown], FIELDS[field][0](TEXTS[text]))
    outside = "\n".join(assert_well_formed(seen.run.out))
    kind = "plan" if shown.startswith("plan") else "apply"
    assert seen.run.out.startswith(f"<!-- hooksync:{kind} -->\n### hooksync {kind}: ")
    assert outside.count("<!--") == 1
    assert not [
        line
        for line in outside.split("\n")
        if line.startswith(("#", ">", "|", "~")) and line != f"### hooksync {kind}: prod"
    ]
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []
