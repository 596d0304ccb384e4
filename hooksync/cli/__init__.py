"""The command line: argv in, exit code out; the terminal, colour, the question, signals.

Only this package prompts and ends the process. It shows text through core/output.py alone.
Begin with main.py, then commands.py, the table of commands.
"""
