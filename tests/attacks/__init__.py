"""Attacks on hooksync, one file for each family: the acts of an attacker, and the harm to prevent.

Each test is one attack. Most attacks are made from tables: each text is planted in each field, and
shown in each format. A family plays most of its attacks within this process, and some with whole
processes. `python -m tests.attacks` plays all attacks. docs/internals/evidence.md names the families.
"""
