"""A reference becomes a secret, or an error that names the reference and never the value."""

from __future__ import annotations

import os
import select
import threading
import traceback
from pathlib import Path

import pytest

from hooksync.config.files import gather, is_device
from hooksync.config.secret_sources import SecretSources
from hooksync.core.errors import SecretError
from hooksync.core.model import Secret, SecretRef
from hooksync.core.redaction import printable
from tests.makers import HERE
from tests.memory_terminal import make_context

VALUE = "v4lue-that-must-not-be-seen"


def env(name: str = "HOOK_SECRET") -> SecretRef:
    return SecretRef("env", name, HERE)


def file(path: str, base: str = "") -> SecretRef:
    return SecretRef("file", path, HERE, base)


def login(ref: SecretRef) -> SecretRef:
    """Return the reference as a credential, which signs nothing and may hold any character."""
    return SecretRef(ref.kind, ref.value, ref.location, ref.base, noun="password")


def command(*parts: str) -> SecretRef:
    return SecretRef("command", parts, HERE)


def shell(line: str) -> SecretRef:
    return command("sh", "-c", line)


def failure_of(
    ref: SecretRef, *, environ: dict[str, str] | None = None, timeout: float = 600
) -> SecretError:
    sources = SecretSources(make_context(environ), timeout)
    with pytest.raises(SecretError) as caught:
        sources.find(ref)
    shown = "".join(traceback.format_exception(caught.value))
    chain: BaseException | None = caught.value
    while chain is not None:
        shown += repr(chain) + str(vars(chain)) + str(getattr(chain, "object", ""))
        chain = chain.__cause__ or chain.__context__
    assert "v4lue" not in shown
    assert printable(str(ref)) in caught.value.summary
    assert caught.value.problems[0].where == HERE
    return caught.value


def test_a_secret_from_the_environment_is_not_changed() -> None:
    sources = SecretSources(make_context({"HOOK_SECRET": f" {VALUE}\n"}))
    assert sources.find(login(env())) == Secret(f" {VALUE}\n")
    assert "v4lue" not in repr(sources)
    assert "v4lue" not in repr(sources.find(login(env())))


def test_an_empty_variable_counts_as_not_set() -> None:
    for environ in ({}, {"HOOK_SECRET": ""}):
        assert failure_of(env(), environ=environ).summary == "not set: secret env:HOOK_SECRET"
    assert "export each variable" in str(failure_of(env()))


def test_a_variable_that_is_not_utf8_text_is_an_error() -> None:
    assert (
        "is not UTF-8 text" in failure_of(env(), environ={"HOOK_SECRET": f"{VALUE}\udcff"}).summary
    )


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b"abc\r\n\r\n", "abc\r\n"),
        (b"abc\r", "abc\r"),
        (b"abc\r\r\n", "abc\r"),
        (b" abc \n", " abc "),
        (b"\nabc", "\nabc"),
        ("\u00fc".encode(), "\u00fc"),
        (b"x" * 65536, "x" * 65536),
    ],
)
def test_only_one_newline_at_the_end_of_a_file_is_dropped(
    tmp_path: Path, content: bytes, value: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert (
        SecretSources(make_context()).find(login(file(str(tmp_path / "secret")))).reveal() == value
    )


def test_a_relative_path_starts_at_the_folder_of_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "secret").write_text(VALUE)
    sources = SecretSources(make_context())
    assert sources.find(file("sub/secret", str(tmp_path))).reveal() == VALUE
    assert sources.find(file("../sub/secret", str(tmp_path / "sub"))).reveal() == VALUE
    assert sources.find(file(str(tmp_path / "sub" / "secret"), "/elsewhere")).reveal() == VALUE


def test_an_error_about_an_unreadable_file_gives_the_reason(tmp_path: Path) -> None:
    assert failure_of(file("no-such-file", str(tmp_path))).summary.endswith(
        "cannot be read: no such file or directory"
    )
    assert failure_of(file(str(tmp_path))).summary.endswith("cannot be read: is a directory")
    assert failure_of(file("a\0b")).summary.endswith("cannot be read: embedded null byte")
    assert "cannot be read: " in failure_of(file("a\ud800b")).summary


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert failure_of(file("secret", str(tmp_path))).summary == "secret file:secret is empty"


def test_a_file_larger_than_64_kib_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(VALUE.encode() + b"x" * 65536)
    assert "larger than 64 KiB" in failure_of(file("secret", str(tmp_path))).summary


def test_a_system_file_about_processes_or_devices_is_never_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("/proc/self/environ")
    (tmp_path / "folder").symlink_to("/proc/self")
    up = "../" * 40
    names = [
        "/proc/self/environ",
        "//dev/zero",
        "/sys/kernel/uevent_seqnum",
        f"{up}dev/stdin",
        "/tmp/../proc/1/environ",
    ]
    names += ["link", "folder/environ", "~/link", "./folder/../self/environ"]
    for name in names:
        assert "a file of the system itself" in failure_of(file(name, str(tmp_path))).summary


def test_a_path_that_only_resembles_a_system_file_is_accepted() -> None:
    paths = ["/process/a", "/home/dev/a", "/var/sys/a", "nul"]
    assert not any(is_device(path) for path in paths)


def test_a_file_that_is_not_utf8_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(VALUE.encode() + b"\xff")
    assert "is not UTF-8 text" in failure_of(file("secret", str(tmp_path))).summary


@pytest.mark.parametrize("bad", ["\u00fc", "\n", "\t", "\x7f", "\u200b"])
def test_a_shared_secret_outside_printable_ascii_is_an_error(bad: str) -> None:
    environ = {"HOOK_SECRET": VALUE + bad}
    assert "outside printable ASCII" in failure_of(env(), environ=environ).summary


def test_a_shared_secret_may_hold_every_printable_ascii_character() -> None:
    every = "".join(map(chr, range(32, 127)))
    assert SecretSources(make_context({"HOOK_SECRET": every})).find(env()).reveal() == every


# programs


def test_a_program_gets_no_variable_from_a_file(tmp_path: Path) -> None:
    variables = tmp_path / "variables.env"
    variables.write_text("LD_PRELOAD=/nowhere.so\nBASH_ENV=/nowhere\nHOME=/nowhere\nA=file\n")
    credentials = tmp_path / "credentials.properties"
    credentials.write_text("[credentials]\nusername=u\npassword=of-the-file\n")
    environ, _ = gather(
        [str(variables)], str(credentials), {"PATH": os.environ["PATH"], "A": "own"}
    )
    sources = SecretSources(make_context(environ))
    assert sources.find(login(command("env"))).reveal().splitlines() == [
        f"PATH={os.environ['PATH']}",
        "A=own",
    ]
    assert sources.find(env("HOME")).reveal() == "/nowhere"
    assert sources.find(env("PRESERVICA_PASSWORD")).reveal() == "of-the-file"


def test_the_output_of_a_program_is_the_secret_and_no_shell_reads_its_arguments() -> None:
    environ = {"PATH": os.environ["PATH"], "VAULT_TOKEN": "t", "HOOKSYNC_PLAN_KEY": VALUE}
    sources = SecretSources(make_context(environ))
    assert sources.find(command("echo", "$HOME; `id`  *")).reveal() == "$HOME; `id`  *"
    assert sources.find(shell("cat; echo x")).reveal() == "x"  # standard input is empty
    assert sources.find(login(command("env"))).reveal().splitlines() == [
        f"PATH={os.environ['PATH']}",
        "VAULT_TOKEN=t",
    ]
    assert str(command("op", "read", "op://a b")) == "command:op (2 arguments)"
    assert command("a", "b c") != command("a b", "c")


def test_every_value_that_is_read_is_masked_but_no_username_from_a_variable() -> None:
    bad = "\u00fc" * 9
    context = make_context({"HOOK_SECRET": VALUE, "NAME": "archive", "BAD": bad})
    sources = SecretSources(context)
    username = SecretRef("env", "NAME", noun="username")
    sources.look_up([env(), env(), username, SecretRef("env", "BAD"), SecretRef("env", "NONE")])
    assert context.output.masked(f"{VALUE} {bad} archive") == "*** *** archive"


def test_a_program_runs_only_once_in_a_run_even_if_it_fails(tmp_path: Path) -> None:
    sources = SecretSources(make_context(os.environ))
    ref = shell(f"echo x >> '{tmp_path}/runs'; exit 1")
    for ask in [sources.find] * 3:
        with pytest.raises(SecretError):
            ask(ref)
    assert sources.look_up([ref])[0] == {}
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (shell(f"echo {VALUE}; echo {VALUE} >&2; exit 3"), "sh: it ended with exit code 3"),
        (shell(f"echo {VALUE}; kill -9 $$"), "sh: it ended with exit code -9"),
        (command("no-such-program"), "no-such-program: no such file or directory"),
        (command("/etc/passwd"), "/etc/passwd: permission denied"),
        (shell(f"echo {VALUE}; sleep 600"), "sh: no answer within 0.2 seconds"),
        (command("true"), "is empty"),
        (shell("echo"), "is empty"),
        (shell("yes"), "sh: the other side sends more than hooksync reads"),
        (shell("printf '\\377'"), "is not UTF-8 text"),
    ],
)
def test_an_error_about_a_program_does_not_repeat_its_output(ref: SecretRef, said: str) -> None:
    ref = command(*(part.replace(VALUE, "${A}") for part in ref.value))
    environ, timeout = {"PATH": os.environ["PATH"], "A": VALUE}, 600.0
    if "no answer" in said:
        timeout = 0.2
    assert failure_of(ref, environ=environ, timeout=timeout).summary.endswith(said)


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_program_and_its_children_end_at_a_timeout_and_at_an_interrupt(
    tmp_path: Path, is_interrupted: bool
) -> None:
    stop, alive = threading.Event(), tmp_path / "alive"
    os.mkfifo(alive)
    sources = SecretSources(make_context(os.environ, stop=stop), 600 if is_interrupted else 0.3)
    asked = threading.Thread(
        target=lambda: sources.look_up([shell(f"exec 3> '{alive}'; echo >&3; sleep 600 & wait")])
    )
    asked.start()
    with alive.open() as held:
        assert held.readline() == "\n"
        if is_interrupted:
            stop.set()
        assert held.read() == ""  # end of file: no process has the pipe open
    asked.join()


def test_a_program_that_gives_a_secret_leaves_no_child_running(tmp_path: Path) -> None:
    os.mkfifo(alive := tmp_path / "alive")
    with open(os.open(alive, os.O_RDONLY | os.O_NONBLOCK)) as held:
        leaves_one = shell(f"exec 3> '{alive}'; sleep 600 > /dev/null & printf '{VALUE}'")
        assert SecretSources(make_context(os.environ)).find(leaves_one).reveal() == VALUE
        assert select.select([held], [], [], 300)[0], "a child still has it open"
