"""The engine: compare declared, live and state; plan one step for each; apply; verify.

Reaches the network through service/ and the disk through state/; diff.py and plan.py are pure.
Begin with diff.py, then apply.py and step_runner.py.
"""
