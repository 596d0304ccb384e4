"""What `import hooksync` gives: load, plan, apply, and their results.

The commands are written on it. It prints nothing, prompts nobody and handles no signal.
Begin with run.py, then inputs.py.
"""
