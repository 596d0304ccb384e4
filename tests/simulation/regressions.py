"""Small histories that once broke a law. The fast lane plays them all.

`python -m tests.simulation --seed N` prints a failing history in this form.
"""

from __future__ import annotations

from tests.simulation.history import Command, Edit, History, Mishap, Person, StateFile

REGRESSIONS = (
    # a saved plan kept a subscription whose secret was rotated since
    History(
        22,
        (Command("apply"), Command("saved", between=(Edit("rotate", 1, 5, 2),))),
        declared=1,
        live=0,
    ),
    # a subscription that the list showed late passed for that of a killed run
    History(
        82,
        (Command("apply", mishaps=(Mishap("killed", "subscribe"),)),),
        live=2,
        lag_additions=300.0,
    ),
    # a run reported a POST as failed that was carried out and answered with 409
    History(
        392,
        (Command("apply", mishaps=(Mishap("commit-status", "subscribe", 0, 409),)),),
        declared=1,
        live=0,
    ),
    # each apply created one more subscription if answers had no id and the list lagged for longer
    # than an apply waits
    History(
        59,
        (Command("apply"), Command("apply")),
        ("answer-without-id",),
        declared=1,
        live=0,
        lag_additions=300.0,
    ),
    # a duplicate was removed although the subscription to keep was gone
    History(
        372,
        (
            Command("apply"),
            Person("duplicate", 0, 0, 1),
            Edit("flag", 0, 1),
            Person("unsubscribe", 0, 0),
            Command("apply"),
        ),
        declared=3,
        live=0,
        lag_additions=20.0,
        lag_removals=1.0,
    ),
    # a removed subscription that was still listed counted as created by a refused POST
    History(
        1012693,
        (
            Command("apply"),
            Edit("move", 1, 5, 1),
            Command("apply", mishaps=(Mishap("status", "any", 2, 400),)),
        ),
        declared=1,
        lag_removals=20.0,
        list_wait=0,
    ),
    # a second DELETE removed the last subscription after the one to keep had left the list
    History(
        1016687,
        (
            Command("apply"),
            Edit("reference", 1, 3, 6),
            Person("subscribe", 1, 0, 5),
            StateFile("copy"),
            Command("apply"),
            Person("unsubscribe", 1, 3, 5),
            Command("apply", ("old-checkout",), (Mishap("lie-gone", "unsubscribe"),)),
        ),
        live=0,
        lag_additions=1.0,
        lag_removals=5.0,
    ),
    # an old subscription that no list had shown yet counted as removed although the DELETE was
    # refused
    History(
        2001332,
        (
            Command("apply"),
            Edit("rotate", 0, 1, 5),
            Command("apply", ("target",), (Mishap("status", "unsubscribe", 0, 409),)),
        ),
        declared=2,
        live=0,
        lag_additions=300.0,
        remove_first=True,
    ),
    # a duplicate was removed although the last list no longer showed the subscription to keep
    History(
        58185858,
        (
            Command("apply"),
            Command("plan"),
            Edit("rotate", 0, 2, 6),
            Command("apply", mishaps=(Mishap("commit-killed", "unsubscribe", 0),)),
            Person("unsubscribe", 0, 3, 3),
            Command("apply"),
        ),
        ("minimal-list",),
        live=2,
        lag_removals=1.0,
    ),
    # a run that lost its run lock after its last change exited with 4, but its report named no
    # problem
    History(
        22228420,
        (
            Command("apply"),
            Command(
                "apply",
                mishaps=(
                    Mishap(
                        "act",
                        "any",
                        9,
                        200.0,
                        Command("apply", mishaps=(Mishap("commit-cut", "list", 1),)),
                    ),
                    Mishap("act", "list", 0, act=Person("subscribe", 0, 5, 2)),
                ),
            ),
        ),
        declared=1,
        live=0,
        lag_removals=300.0,
        list_wait=5,
        is_remote=True,
    ),
    # a run could not release the run lock of a hand-edited state: an internal error
    History(
        60171961,
        (
            Command(
                "apply",
                ("old-checkout",),
                (
                    Mishap("act", "login", 0, act=Command("apply", ("target",))),
                    Mishap("act", "subscribe", 0, act=Command("apply", ("old-checkout",))),
                ),
            ),
        ),
        tenancies=2,
        declared=2,
        live=0,
        lag_additions=20.0,
        is_remote=True,
    ),
    # after a response without an id, the list showed one new subscription that somebody else had
    # made; the run was killed before it could report that
    History(
        700656,
        (Command("apply", mishaps=(Mishap("commit-killed", "write", 1),)),),
        ("answer-without-id",),
        declared=1,
        lag_additions=1.0,
    ),
    # a run without its run lock reported an address as unsettled, but could not record that
    History(
        940692,
        (
            Command(
                "apply",
                mishaps=(
                    Mishap(
                        "act",
                        "list",
                        1,
                        200.0,
                        Command("apply", mishaps=(Mishap("bug", "subscribe", 2),)),
                    ),
                ),
            ),
            Command("apply"),
        ),
        declared=2,
        live=0,
        remove_first=True,
        is_remote=True,
    ),
    # a subscription that no list had shown was removed by hand, and its name was changed
    History(
        1204047,
        (
            Command("apply"),
            Person("unsubscribe", which=2, to=7),
            Edit("rename", tenancy=1, which=2, to=4),
        ),
        declared=1,
        live=0,
        lag_additions=300.0,
    ),
    # somebody removed a subscription that a list had just shown: it passed for not listed
    History(
        1220540,
        (
            Command("apply"),
            Command("apply"),
            Command(
                "apply",
                mishaps=(Mishap("act", "unsubscribe", 2, act=Person("unsubscribe", 1, 5, 0)),),
            ),
        ),
        tenancies=2,
        declared=1,
        live=2,
        lag_additions=20.0,
        list_wait=5,
    ),
    # somebody removed the kept one of two duplicates, and the run removed the other, too
    History(
        1623474,
        (
            Command("apply"),
            Edit("swap", 1, 2, 4),
            Person("unsubscribe", 1, 7, 5),
            Command("apply"),
        ),
        tenancies=2,
        declared=3,
        live=1,
        lag_additions=60.0,
        lag_removals=20.0,
        list_wait=120,
        owns="all",
    ),
    # an old subscription that no list had shown before was removed in spite of a 409
    History(
        1702738,
        (
            Command("apply"),
            Edit("rotate", 0, 5, 5),
            Command("apply"),
            Edit("add", 1, 2, 2),
            Command(
                "apply",
                mishaps=(
                    Mishap("commit-status", "unsubscribe", number=409),
                    Mishap("late", "subscribe", number=10.0),
                ),
            ),
        ),
        declared=1,
        live=0,
        lag_additions=1.0,
        list_wait=0,
        owns="made",
    ),
    # somebody removed what no list had shown yet, and its URL went to a different name
    History(
        2027837,
        (
            Edit("flag", 0, 0, 4),
            Command(
                "apply",
                mishaps=(
                    Mishap("act", "subscribe", 2, act=Command("apply", ("old-checkout",))),
                    Mishap("commit-cut", "subscribe", 1),
                ),
            ),
            Command("apply"),
            Edit("swap", 0, 2, 7),
        ),
        declared=2,
        live=0,
        owns="made",
    ),
    # a second apply took over the run lock, and dropped the salt of what it removed
    History(
        10970,
        (
            Command("apply"),
            Edit("remove", 1, 1, 0),
            Command("apply", mishaps=(Mishap("act", "list", 1, act=Command("apply")),)),
        ),
        declared=2,
        live=1,
        list_wait=0,
        owns="prefixes",
        is_remote=True,
    ),
    # a late call made a duplicate while an apply waited for the run lock: the law called it unowned
    History(
        70019209,
        (
            Command("apply", mishaps=(Mishap("late", "subscribe", 1, 100.0),)),
            Command("apply"),
            Command("apply", mishaps=(Mishap("commit-killed", "write"),)),
            Command("apply"),
        ),
        is_remote=True,
    ),
    # a person made it, and a list showed it late: a run took it for its own, as it may
    History(
        70015071,
        (
            Edit("add", 1, 4, 1),
            Command("apply", mishaps=(Mishap("garbage", "subscribe", 1),)),
        ),
        ("refuse-duplicates",),
        lag_additions=60.0,
    ),
    # a run completed the call in flight while a different run took over its run lock: the law
    # counted what it made as a third attempt
    History(
        40327,
        (
            Command("apply"),
            Command("apply", mishaps=(Mishap("act", "subscribe", 0, 200.0, Command("apply")),)),
            Edit("rotate", which=1, to=6),
            Command("apply"),
            Command("apply"),
        ),
        live=0,
        lag_additions=5.0,
        list_wait=0,
        is_remote=True,
    ),
    # --adopt took what a lagging list still showed, and both live ones were reported and left
    History(
        510020186,
        (
            Edit("flag", 0, 2, 5),
            Command("apply", ("adopt", "reviewed")),
            Command("apply"),
            StateFile("lose"),
            Command("apply", ("adopt",)),
        ),
        ("answer-without-id", "string-flags"),
        declared=3,
        live=1,
        lag_additions=5.0,
        lag_removals=300.0,
        owns="none",
    ),
    # nobody needed an attempt of a killed run; an apply closed it, and the law counted what it made
    History(
        520029055,
        (
            Command("apply"),
            Command("apply", mishaps=(Mishap("killed", "write", 1),)),
            Command("apply"),
            Edit("rotate", which=6),
            Command("apply", ("reviewed",)),
            Command("apply"),
        ),
        declared=3,
        live=1,
        lag_additions=20.0,
        list_wait=5,
        owns="none",
    ),
)
