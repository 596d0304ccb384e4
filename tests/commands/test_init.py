"""`hooksync init` writes a first hooks file, and never overwrites a file."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from hooksync.commands.draft import Need, env_text
from hooksync.core.errors import FileError
from hooksync.core.output import Output
from tests.command_line import hooksync
from tests.conftest import SECRET, Place


def test_the_starter_file_is_valid_and_readable_by_all_users(tmp_path: Path) -> None:
    done = hooksync(["init"], {}, tmp_path)
    assert (done.code, done.out) == (0, "wrote hooks.yaml\n")
    assert stat.S_IMODE((tmp_path / "hooks.yaml").stat().st_mode) == 0o644
    assert hooksync(["validate"], {}, tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["hooks.yaml"]


def test_an_existing_file_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    done = hooksync(["init", "--file", "mine.yaml"], {}, tmp_path)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: mine.yaml exists already, and was left as it is\n  fix: ")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_init_does_not_write_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").symlink_to("elsewhere.yaml")
    assert hooksync(["init"], {}, tmp_path).code == 1
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written: no such file or directory"):
        Output().create_file(str(tmp_path / "none" / "hooks.yaml"), "")


def test_flags_about_live_subscriptions_need_from_live(tmp_path: Path) -> None:
    done = hooksync(["init", "--server", "h.example"], {}, tmp_path)
    assert done.code == 64
    assert "give --from-live as well" in done.err
    assert not os.listdir(tmp_path)


def test_from_live_prints_or_writes_the_same_draft(place: Place) -> None:
    place.box.seed("DEMO", "https://h.example/x", "MOVED", SECRET)
    shown = place.run("init", "--file", "-", "--from-live", "--server", place.box.url)
    run = place.run("init", "--file", "live.yaml", "--from-live", "--server", place.box.url)
    assert (run.code, run.out) == (0, "wrote live.yaml\n")
    assert run.err == shown.err
    assert (place.folder / "live.yaml").read_text() == shown.out
    assert (place.folder / "live.yaml").stat().st_mode & 0o777 == 0o600
    plan = place.run("plan", "-f", "live.yaml")
    assert "1 to adopt" in plan.out


def test_from_live_with_write_env_writes_the_variables_too(place: Place) -> None:
    place.box.seed("DEMO", "https://h.example/x?code=it's&tag=a%20b", "MOVED", SECRET)
    place.environ["HOOKSYNC_FILE"] = "live.yaml"
    run = place.run(
        "init",
        "--file",
        "live.yaml",
        "--from-live",
        "--write-env",
        "live.env",
        "--server",
        place.box.url,
    )
    assert (run.code, run.out) == (0, "wrote live.env\nwrote live.yaml\n")
    assert run.err.startswith(
        "fill in what is empty in live.env, and give each command --env-file live.env:\n  H_"
    )
    path = place.folder / "live.env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "it's" not in run.out + run.err + (place.folder / "live.yaml").read_text()
    read = dotenv_values(path, interpolate=False)
    assert read == {
        "H_EXAMPLE_X_SECRET": "",
        "H_EXAMPLE_X_URL_CODE": "",
        "H_EXAMPLE_X_URL_TAG": "a%20b",
    }


def test_a_shell_that_reads_the_variables_runs_no_text_of_the_service(tmp_path: Path) -> None:
    harmless = ["echo>run;", '"$(echo>run)"`echo>run`', '"']
    values = [*harmless, "'$(echo>run)", "x';echo>run;'", "\\`echo>run`"]
    needs = [Need(f"X{number}", "a part of a URL", value) for number, value in enumerate(values)]
    text = env_text(needs, "hooks.yaml")
    read = dotenv_values(stream=io.StringIO(text), interpolate=False)
    shown = "".join(f'printf "%s\\n" "${need.variable}"\n' for need in needs)
    done = subprocess.run(
        ["sh"], input=text + shown, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout.splitlines(), done.stderr) == ([*read.values()], "")
    assert [*read.values()] == [*harmless, "", "", ""]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (("--write-env", "new.env"), 64, "give --from-live as well"),
        (
            ("--from-live", "--write-env", "hooks.env"),
            1,
            "hooks.env exists already, and was left as it is",
        ),
    ],
)
def test_write_env_needs_from_live_and_overwrites_no_file(
    place: Place, flags: tuple[str, ...], code: int, told: str
) -> None:
    place.write("mine", "hooks.env")
    run = place.run("init", "--file", "live.yaml", *flags)
    assert run.code == code
    assert told in run.err
    assert not place.box.calls
    assert not (place.folder / "live.yaml").exists()


def test_from_live_makes_no_call_if_the_file_exists(place: Place) -> None:
    run = place.run("init", "--from-live", "--server", place.box.url)
    assert run.code == 1
    assert not place.box.calls


def test_from_live_writes_nothing_if_the_tenancy_cannot_be_read(place: Place) -> None:
    place.environ["PRESERVICA_PASSWORD"] = "wrong"
    run = place.run("init", "--file", "live.yaml", "--from-live", "--server", place.box.url)
    assert (run.code, run.out) == (1, "")
    assert not (place.folder / "live.yaml").exists()


@pytest.mark.parametrize("prefix", ["live.yaml", "https://h.example/?a=b", "ftp://h.example"])
def test_from_live_takes_only_prefixes_of_urls(place: Place, prefix: str) -> None:
    run = place.run("init", "--file", "new.yaml", "--from-live", prefix)
    assert (run.code, f"--from-live {prefix}: this prefix" in run.err) == (64, True)
    assert not place.box.calls
