"""One module a command, each read like a sentence: files -> live -> plan -> result -> exit code.

Nothing here prints by itself, compares or calls: that is the work of the packages below.
Begin with plan_apply.py.
"""
