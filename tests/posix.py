"""Names in Python's modules that only POSIX has, and tests that need POSIX. Windows skips these
tests.

A test that fails because Windows lacks such a name is skipped automatically. The table lists the
tests that need POSIX for a different reason.
"""

from __future__ import annotations

import os

_SHELLS = "it runs shell scripts"
_SIGNALS = "a process cannot be asked to end there, but by its console"
_ENDS = "processes are ended by it, or measured, in ways that Windows does not know"

NOT_ON_WINDOWS = {  # whole files, and single tests, by their paths below tests/; with the reason
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
    "commands/test_init.py::test_a_shell_that_reads_the_variables_runs_no_text_of_the_service": (
        _SHELLS
    ),
    **dict.fromkeys(
        (
            "commands/test_init.py::test_the_starter_file_is_valid_and_readable_by_all_users",
            "core/test_output.py::test_a_file_is_replaced_as_a_whole",
            "core/test_output.py::test_the_mode_of_a_file_does_not_depend_on_the_umask",
            "documents/test_saved_plan.py::test_a_saved_plan_equals_the_json_output_and_only_its_owner_may_read_it",
            "state/test_store.py::test_a_folder_without_write_permission_is_reported",
            "state/test_store.py::test_only_its_owner_can_read_a_state",
            "system/test_files.py::test_no_other_user_can_hold_the_lock_of_a_local_state",
        ),
        "files have no modes there",
    ),
}
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NAMES = {  # POSIX-only names in modules that Windows has, too
    "os": (
        """chown chroot fchmod fchown fork forkpty getegid geteuid getgid getgroups getpgid getpgrp getresuid getuid
        initgroups killpg lchown lockf mkfifo mknod nice openpty pathconf posix_fallocate posix_spawn pread pwrite readv
        sched_getaffinity sendfile setegid seteuid setgid setpgid setpriority setsid setuid sync tcgetpgrp ttyname uname
        wait wait3 wait4 waitid writev O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC WEXITSTATUS
        WIFEXITED WIFSIGNALED WTERMSIG"""
    ),
    "select": "epoll kqueue poll select",  # on Windows, `select` accepts only sockets, not files
    "signal": (
        """SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm
        pause pthread_kill pthread_sigmask setitimer siginterrupt sigwait"""
    ),
    "socket": "AF_UNIX SO_REUSEPORT",
    "time": "tzset",
}
NAMES_OF = {module: set(names.split()) for module, names in NAMES.items()}


def missing_on_windows(error: Exception) -> str | None:
    """Return what a test needs and Windows lacks. Return None if the test failed for a different
    reason.
    """
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
