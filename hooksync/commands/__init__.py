"""One module for a command, or a few of a kind: files -> live -> plan -> result -> exit code.

Nothing here prints by itself or compares: that is the work of the packages below. Three modules are
no commands: problems.py, receiving.py and notice.py, which posts notices.
Begin with plan_apply.py.
"""
