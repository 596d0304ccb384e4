"""A reference becomes a secret, or an error that names the reference and never the value."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from hooksync.config.files import is_device
from hooksync.config.secret_sources import SecretSources
from hooksync.core.errors import SecretError
from hooksync.core.model import Secret, SecretRef
from hooksync.core.redaction import printable
from tests.makers import HERE

VALUE = "v4lue-that-must-not-be-seen"


def env(name: str = "HOOK_SECRET") -> SecretRef:
    return SecretRef("env", name, HERE)


def file(path: str, base: str = "") -> SecretRef:
    return SecretRef("file", path, HERE, base)


def failure_of(ref: SecretRef, *, environ: dict[str, str] | None = None, is_shared: bool = False) -> SecretError:
    sources = SecretSources(environ or {})
    with pytest.raises(SecretError) as caught:
        (sources.find_shared if is_shared else sources.find)(ref)
    shown = "".join(traceback.format_exception(caught.value))
    chain: BaseException | None = caught.value
    while chain is not None:
        shown += repr(chain) + str(vars(chain)) + str(getattr(chain, "object", ""))
        chain = chain.__cause__ or chain.__context__
    assert "v4lue" not in shown
    assert printable(str(ref)) in caught.value.summary
    assert caught.value.problems[0].where == HERE
    return caught.value


def test_a_secret_comes_from_the_environment_as_it_is() -> None:
    sources = SecretSources({"HOOK_SECRET": f" {VALUE}\n"})
    assert sources.find(env()) == Secret(f" {VALUE}\n")
    assert "v4lue" not in repr(sources)
    assert "v4lue" not in repr(sources.find(env()))


def test_a_variable_that_is_not_set_is_told_from_an_empty_one() -> None:
    assert failure_of(env()).summary == "secret env:HOOK_SECRET is not set"
    assert failure_of(env(), environ={"HOOK_SECRET": ""}).summary == "secret env:HOOK_SECRET is empty"
    assert "export HOOK_SECRET" in str(failure_of(env()))


def test_bytes_in_the_environment_that_are_no_text_are_an_error() -> None:
    assert "is not UTF-8 text" in failure_of(env(), environ={"HOOK_SECRET": f"{VALUE}\udcff"}).summary


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
def test_one_newline_at_the_end_of_a_file_is_dropped_and_not_more(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert SecretSources({}).find(file(str(tmp_path / "secret"))).reveal() == value


def test_a_relative_path_starts_at_the_folder_of_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "secret").write_text(VALUE)
    sources = SecretSources({})
    assert sources.find(file("sub/secret", str(tmp_path))).reveal() == VALUE
    assert sources.find(file("../sub/secret", str(tmp_path / "sub"))).reveal() == VALUE
    assert sources.find(file(str(tmp_path / "sub" / "secret"), "/elsewhere")).reveal() == VALUE


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text(VALUE)
    assert SecretSources({}).find(file("~/secret", "/elsewhere")).reveal() == VALUE


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert failure_of(file("no-such-file", str(tmp_path))).summary.endswith("cannot be read: no such file or directory")
    assert failure_of(file(str(tmp_path))).summary.endswith("cannot be read: is a directory")
    assert failure_of(file("a\0b")).summary.endswith("cannot be read: it is not a valid path")
    assert failure_of(file("a\ud800b")).summary.endswith("cannot be read: it is not a valid path")


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert failure_of(file("secret", str(tmp_path))).summary == "secret file:secret is empty"


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(VALUE.encode() + b"x" * 65536)
    assert "larger than 64 KiB" in failure_of(file("secret", str(tmp_path))).summary


def test_a_file_of_the_system_about_processes_or_devices_is_never_a_secret(
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
        assert "what the system tells of processes or devices" in failure_of(file(name, str(tmp_path))).summary


def test_devices_are_known_by_the_names_that_windows_gives_them() -> None:
    devices = ["NUL", r"C:\x\con", "C:/x/aux.txt", r"\\.\COM1", r"\\?\GLOBALROOT\Device", r"C:\x\lpt1 .pem"]
    assert all(is_device(path, is_windows=True) for path in devices)
    plain = [r"C:\x\secret", r"C:\console\a.pem", r"D:\proc\a", r"\\server\share\a", "C:/nul/x"]
    assert not any(is_device(path, is_windows=True) for path in plain)
    assert not any(is_device(path, is_windows=False) for path in ["/process/a", "/home/dev/a", "/var/sys/a", "nul"])


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(VALUE.encode() + b"\xff")
    assert "is not UTF-8 text" in failure_of(file("secret", str(tmp_path))).summary


@pytest.mark.parametrize("bad", ["\u00fc", "\n", "\t", "\x7f", "\u200b"])
def test_a_shared_secret_is_printable_ascii(bad: str) -> None:
    environ = {"HOOK_SECRET": VALUE + bad}
    assert "outside printable ASCII" in failure_of(env(), environ=environ, is_shared=True).summary


def test_all_of_printable_ascii_will_do() -> None:
    every = "".join(map(chr, range(32, 127)))
    assert SecretSources({"HOOK_SECRET": every}).find_shared(env()).reveal() == every
