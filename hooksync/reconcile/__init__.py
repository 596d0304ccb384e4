"""The engine: declared, live and remembered -> one step for each -> carried out -> verified.

No disk and no network but through what it is given; diff.py and plan.py are pure.
Begin with diff.py, then apply.py.
"""
