"""Call GitHub through `gh`, which every hosted runner has, with advice if it refuses."""

import json
import subprocess


def gh(*arguments: str, given: object = None) -> list[dict]:
    """Call GitHub's API, and return the items of all pages. `given`: the JSON to send."""
    done = subprocess.run(  # noqa: S603, a list and no shell
        # the runner's own
        ["gh", "api", *arguments, *(["--input", "-"] if given else [])],  # noqa: S607,
        input=json.dumps(given) if given else None,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print("::error title=GitHub refused::See above; action.yml lists the job's permissions.")
        raise SystemExit(1)
    found, rest = [], done.stdout.strip()
    while rest:
        page, end = json.JSONDecoder().raw_decode(rest)
        found += page if isinstance(page, list) else [page]
        rest = rest[end:].lstrip()
    return found
