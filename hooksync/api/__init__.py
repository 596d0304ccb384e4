"""What `import hooksync` gives: load, plan, apply, and their results. The commands are written on it.

Nothing here prints, prompts, handles a signal or ends the process.
Begin with run.py, then inputs.py.
"""
