"""The command line: argv in, exit code out; the terminal, colour, the question, signals.

Nothing else asks or ends the process, all that is shown goes through core/output.py, and nothing here decides.
Begin with main.py, the table of commands.
"""
