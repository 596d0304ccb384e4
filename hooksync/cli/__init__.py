"""The command line: argv in, exit code out; the terminal, colour, the question, signals.

Nothing else prints or ends the process, and nothing here decides what is done.
Begin with main.py, the table of commands.
"""
