"""Remove one defence at a time from a copy of hooksync. The attacks of its family must then get
through.

This finds attacks that could never succeed. If hooksync no longer contains a text of the table,
`copy_broken` raises a ValueError, and a developer must update the table.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.breaks import Break, copy_broken

# each family, and the defence to remove; after a colon: what one more defence of it is about
BREAKS = {
    "redirects": Break(
        "follow a redirect",
        "service/http.py",
        "with adapter.send(",
        "with requests.Session().send(",
    ),
    "tls": Break(
        "take any trusted certificate for that of the host",
        "service/http.py",
        "context.hostname_checks_common_name = False",
        "context.check_hostname = False",
    ),
    "proxies": Break(
        "ask for this machine through a proxy",
        "service/http.py",
        " or is_loopback(host)",
        "",
    ),
    "netrc": Break(
        "let requests read the environment",
        "service/http.py",
        "wanted.prepare()",
        "requests.Session().prepare_request(wanted)",
    ),
    "server_names": Break(
        "let user information stand in a URL",
        "core/urls.py",
        '    if "@" in netloc:\n        return "contains user information (@)"\n',
        '    netloc = netloc.rpartition("@")[2]\n',
    ),
    "ids": Break(
        "put an id into a path as it is",
        "service/client.py",
        "{quote(identifier, safe='')}",
        "{quote(identifier)}",
    ),
    "git": Break(
        "take a folder that looks like a bare repository",
        "core/git.py",
        '        if os.path.lexists(os.path.join(folder, ".git")):\n',
        "        if True:\n",
        also=(("core/git.py", '    "safe.bareRepository=explicit",\n', ""),),
    ),
    "runner_commands": Break(
        "let JSON leave without escapes",
        "core/output.py",
        'RUNNER_COMMAND.sub(r"\\1\\\\u005b", text)',
        "text",
    ),
    "markdown": Break(
        "write foreign text as Markdown",
        "render/markdown.py",
        "    if _PLAIN.fullmatch(text)",
        "    return text\n    if _PLAIN.fullmatch(text)",
    ),
    "canaries: encodings": Break(
        "look for values in clear alone",
        "core/redaction.py",
        "for decode in (unquote, _without_entities, without_escapes, _without_doubled):",
        "for decode in ():",
    ),
    "yaml": Break(
        "take directives",
        "config/yaml_loader.py",
        "(directive := _DIRECTIVE.search(text)):",
        "(directive := _DIRECTIVE.search(text)) and False:",
    ),
    "answers: bombs": Break(
        "read an answer to its end",
        "service/http.py",
        "        if len(body) > limit:\n",
        "        if False:\n",
    ),
    "answers: slow bodies": Break(
        "wait for as long as there is something to wait for",
        "core/timed_reader.py",
        "self._end = time.monotonic() + seconds",
        "self._end = time.monotonic() + 1e6 * seconds",
    ),
    "answers: broken": Break(
        "take what is no JSON for an empty list",
        "service/client.py",
        "    except (ValueError, InvalidDocument):  # their texts may quote the answer\n",
        "    except (ValueError, InvalidDocument):\n        return []\n",
    ),
    "canaries": Break(
        "find no value in any text",  # the second of two masks makes up for a smaller break
        "core/redaction.py",
        "        return spans\n\n    def holds",
        "        return []\n\n    def holds",
    ),
    "canaries: keys of strangers": Break(
        "quote the paths of URLs",
        "core/redaction.py",
        "hidden = _URL.sub(lambda url: masked_url(url[0]), hidden)",
        "pass",
    ),
    "plans": Break(
        "take any signature",
        "core/signing.py",
        "    if is_same(given, computed):",
        "    if True:",
    ),
    "plans: removals": Break(
        "compare nothing that a plan shows of a removal",
        "api/receipt.py",
        "        if step.live:\n            shown",
        "        if False:\n            shown",
    ),
    "policy": Break(
        "let a hooks file name any host",
        "config/policy.py",
        '        if _is_host(netloc, host, scheme) and (is_plain or start == "/"):',
        "        if True:\n            return True",
    ),
    "policy: protect": Break(
        "protect the written spelling alone",
        "core/urls.py",
        "        if host and protected and host != protected:",
        "        if not url.startswith(prefix):",
    ),
    "policy: defaults": Break(
        "take defaults from any file",
        "config/files.py",
        "    if is_device(with_real_folder(path)) or is_device(follow_links(path)):",
        "    if False:",
    ),
    "policy: addresses": Break(
        "judge an IPv6 address without the IPv4 address in it",
        "service/http.py",
        "    if any(address in network for network in _EMBEDDING):",
        "    if False:",
    ),
    "states": Break(
        "believe what a state says of a secret",
        "reconcile/diff.py",
        "is_same = self.entries[live.id].is_made_with(key, self.tenancy.key)",
        "is_same = True",
    ),
    "states: ownership": Break(
        "take an entry of any state for a proof",
        "reconcile/diff.py",
        "if entry and (basis.is_trusted or entry.run_number == basis.run_number):",
        "if entry:",
    ),
    "states: waits": Break(
        "wait for the attempts of any state",
        "reconcile/run.py",
        "if plan.awaited and self.planner.is_trusted]",
        "if plan.awaited]",
    ),
    "signals": Break(
        "go on after a signal",
        "cli/terminal.py",
        "            os._exit(self.interrupt_code)\n        self._has_come = True\n       "
        " self.stop.set()\n",
        "            return\n        self._has_come = True\n        return\n",
    ),
}


def attacks_that_get_through(family: str, folder: Path) -> str:
    """Play the attacks of a family that are not nightly, on a copy of hooksync without its defence.

    Return the output of pytest if an attack gets through, or else an empty text.
    """
    copy_broken(BREAKS[family], folder)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not nightly",
        f"tests/attacks/test_{family.partition(':')[0]}.py",
    ]
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 1 else ""
