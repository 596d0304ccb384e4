"""What only POSIX has: names of Python's modules, and tests that are about nothing else. On Windows
these are skipped.

A test that meets such a name while it runs is skipped by itself; one that cannot be told by that
stands in the table.
"""

from __future__ import annotations

import os

_SHELLS = "it runs shell scripts"
_SIGNALS = "a process cannot be asked to end there, but by its console"
_ENDS = "processes are ended by it, or measured, in ways that Windows does not know"

NOT_ON_WINDOWS = {  # files, and tests in others, by their paths below tests/; with the reason
    "attacks/test_git.py": _SHELLS,
    "attacks/test_signals.py": _SIGNALS,
    "cli/test_completion.py": _SHELLS,
    "commands/test_listen.py": _SIGNALS,
    "project/test_bench.py": _ENDS,
    "project/test_ci_examples.py": _SHELLS,
    "project/test_gitlab.py": _SHELLS,
    "project/test_supply_chain.py": _SHELLS,
    "receivers/test_page.py": _SHELLS,
    "sandbox/test_command.py": _SIGNALS,
    "sandbox/test_demo.py": _SIGNALS,
    "system/test_full_disk.py": "it fills disks that Linux alone makes",
    "system/test_kills.py": _SIGNALS,
    "system/test_last_resort.py": _ENDS,
    "system/test_remote_state.py": _ENDS,
    "site/test_exit_codes.py::test_the_script_tells_exit_codes_apart": _SHELLS,
    "commands/test_init.py::test_a_shell_that_reads_variables_runs_nothing_that_a_service_says": (
        _SHELLS
    ),
    **dict.fromkeys(
        (
            "commands/test_init.py::test_the_starter_validates_and_can_be_read_by_all",
            "core/test_output.py::test_a_file_is_replaced_as_a_whole",
            "core/test_output.py::test_a_files_mode_is_as_asked_whatever_the_umask_takes_away",
            "documents/test_saved_plan.py::test_a_saved_plan_is_what_the_json_format_prints_and_for_its_owner_alone",
            "state/test_store.py::test_a_folder_that_may_not_be_written_to_is_said",
            "state/test_store.py::test_only_its_owner_may_read_it",
            "system/test_files.py::test_no_other_user_can_hold_the_lock_of_a_local_state",
        ),
        "files have no modes there",
    ),
}
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {  # of modules that are there on Windows, too
    "os": (
        """chown chroot fchmod fchown fork forkpty getegid geteuid getgid getgroups getpgid getpgrp getresuid getuid
        initgroups killpg lchown lockf mkfifo mknod nice openpty pathconf posix_fallocate posix_spawn pread pwrite readv
        sched_getaffinity sendfile setegid seteuid setgid setpgid setpriority setsid setuid sync tcgetpgrp ttyname uname
        wait wait3 wait4 waitid writev O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC WEXITSTATUS
        WIFEXITED WIFSIGNALED WTERMSIG"""
    ),
    "select": "epoll kqueue poll select",  # it takes sockets there, and no files
    "signal": (
        """SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm
        pause pthread_kill pthread_sigmask setitimer siginterrupt sigwait"""
    ),
    "socket": "AF_UNIX SO_REUSEPORT",
    "time": "tzset",
}
NAMES_OF = {module: set(names.split()) for module, names in NAMES.items()}


def missing_on_windows(error: Exception) -> str | None:
    """Return what a test wanted that Windows does not have; None: that is not why it failed."""
    if os.name != "nt":
        return None
    if isinstance(error, AttributeError) and error.name in NAMES_OF.get(
        getattr(error.obj, "__name__", ""), ()
    ):
        return f"{error.obj.__name__}.{error.name}"
    if isinstance(error, ModuleNotFoundError) and error.name in MODULES:
        return error.name
    if isinstance(error, OSError) and getattr(error, "winerror", None) == 1314:
        return "a symbolic link, which takes a privilege there"
    return None
