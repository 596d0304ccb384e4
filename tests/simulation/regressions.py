"""Histories that broke a law once, made small; the fast lane plays them all.

`python -m tests.simulation --seed N` prints a failing one in this form.
"""

from __future__ import annotations

from tests.simulation.history import Command, Edit, History, Mishap, Person

REGRESSIONS = (
    # a saved plan keeps what has another secret by now
    History(22, (Command("apply"), Command("saved", between=(Edit("rotate", 1, 5, 2),))), declared=1, live=0),
    # a newcomer that the list shows late passed for what a killed run had made
    History(82, (Command("apply", mishaps=(Mishap("killed", "subscribe"),)),), live=2, lag_additions=300.0),
    # a POST that was carried out and answered with 409 was said to have failed
    History(392, (Command("apply", mishaps=(Mishap("commit-status", "subscribe", 0, 409),)),), declared=1, live=0),
    # an old half went although the id of its new one was another one's
    History(
        420,
        (Command("apply"), Edit("rotate"), Command("apply", mishaps=(Mishap("same-id", "any", 6),))),
        tenancies=2,
        declared=2,
        live=0,
    ),
    # each apply made one more, where answers tell no id and the list lags for longer than an apply waits
    History(59, (Command("apply"), Command("apply")), ("answer-without-id",), declared=1, live=0, lag_additions=300.0),
    History(308, (), ("answer-without-id",), lag_additions=60.0),
    # a duplicate went although the one that was to stay was gone
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
)
