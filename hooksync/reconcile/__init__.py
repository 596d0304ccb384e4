"""The engine: compare what is declared, live and in the state; plan one step for each; carry it out; verify.

Reaches the network through service/ and the disk through state/; diff.py and plan.py are pure.
Begin with diff.py, then apply.py and step_runner.py.
"""
