"""Attacks on hooksync, a file for each family: what somebody plants or does, and what must not come
of it.

Each test is one attack, and most are made from tables: every text to plant, in every field, in
every format. A family plays most of its attacks within this process and some with whole processes.
`python -m tests.attacks` plays all of them and counts them; the counts stand in
docs/internals/attacks.md.
"""
