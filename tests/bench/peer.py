"""The same job as a script on pyPreservica, as its users write it: log in, list, compare, subscribe what is missing.

`python peer.py HOOKS`, with pyPreservica's own variables set.
"""

import os
import sys

import yaml
from pyPreservica import TriggerType, WebHooksAPI


def main(hooks: str) -> None:
    """Subscribe what a hooks file of one tenancy declares and the tenancy lacks."""
    with open(hooks, encoding="utf-8") as file:
        [tenancy] = yaml.load(file, Loader=yaml.CSafeLoader)["tenancies"].values()
    server = os.environ["PRESERVICA_SERVER"].removeprefix("http://")
    api = WebHooksAPI(server=server, protocol="http")
    live = {(each["url"], each["triggerType"]) for each in api.subscriptions()}
    for wanted in tenancy["subscriptions"].values():
        trigger = TriggerType[wanted["trigger"]]
        if (wanted["url"], trigger.value) not in live:
            api.subscribe(wanted["url"], trigger, os.environ[wanted["secret"]["env"]])


if __name__ == "__main__":
    main(sys.argv[1])
