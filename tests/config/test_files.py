import io
import os
from contextlib import suppress
from pathlib import Path

import pytest

from hooksync.config.files import MOST_BYTES, STDIN, Source, read_sources
from hooksync.core.errors import FileError


def read(*arguments: str | Path, stdin: bytes = b"") -> tuple[Source, ...]:
    return read_sources([str(argument) for argument in arguments], io.BytesIO(stdin))


def test_file_is_read_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_bytes(b"version: 1\n")
    assert read(path) == (Source(str(path), b"version: 1\n"),)


def test_directory_gives_its_yaml_files_sorted_and_no_others(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.yaml", "notes.txt", ".hidden.yaml", "hooks.state.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "below.yaml").mkdir()
    (tmp_path / "below.yaml" / "notes.txt").write_text("not YAML")
    assert [os.path.basename(source.name) for source in read(tmp_path)] == [
        "a.yaml",
        "b.yml",
        "c.yaml",
    ]


def write_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_a_file_in_a_folder_below_a_directory_is_an_error_unless_it_is_named(
    tmp_path: Path,
) -> None:
    write_files(tmp_path, "a.yaml", "north/b.yaml", "south/c.yaml", "west/x/notes.txt")
    named = (tmp_path, tmp_path / "north", tmp_path / "south" / "c.yaml")
    assert [os.path.basename(source.name) for source in read(*named)] == [
        "a.yaml",
        "b.yaml",
        "c.yaml",
    ]
    (tmp_path / "west" / "loop").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(FileError) as caught:
        read(tmp_path, tmp_path / "south")
    [problem] = caught.value.problems
    assert problem.what.startswith(f"{tmp_path}/north/b.yaml would not be read: ")
    assert problem.fix == f"move it, or also give `--file {tmp_path}/north`"


def test_a_directory_without_hooks_files_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, "north/b.yaml", "notes.txt")
    with pytest.raises(FileError, match=r"contains no \*\.yaml or \*\.yml file"):
        read(tmp_path)


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        "a.yaml",
        ".github/workflows/ci.yml",
        ".hidden.yaml",
    )
    assert len(read(tmp_path)) == 1


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    write_files(tmp_path, "..2026_01_02/hooks.yaml")
    (tmp_path / "..data").symlink_to("..2026_01_02")
    (tmp_path / "hooks.yaml").symlink_to("..data/hooks.yaml")
    assert len(read(tmp_path)) == 1


def test_same_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "hooks.yaml"
    path.write_text("x")
    (tmp_path / "link.yml").symlink_to(path)
    assert [source.name for source in read(path, tmp_path, "-", "-")] == [str(path), STDIN]


def test_all_unreadable_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(FileError) as caught:
        read(tmp_path / "missing.yaml", tmp_path / "empty", tmp_path, "nul\0.yaml")
    said = {problem.what for problem in caught.value.problems}
    assert said == {
        f"there is no file {tmp_path / 'missing.yaml'}",
        f"{tmp_path / 'empty'} contains no *.yaml or *.yml file that can be read",
        f"there is no file {tmp_path / 'dangling.yaml'}",
        "the file nul\0.yaml cannot be read: embedded null byte",
    }


@pytest.mark.skipif(
    "not hasattr(os, 'geteuid') or os.geteuid() == 0", reason="root reads everything"
)
def test_file_without_permission_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "hooks.yaml"
    path.touch(mode=0)
    with pytest.raises(FileError, match="cannot be read: permission denied"):
        read(path)


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="needs Linux, and root")
def test_a_link_to_a_file_of_the_system_that_may_block_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").symlink_to("/proc/kmsg")
    with suppress(FileError):
        assert read(tmp_path / "hooks.yaml")  # if the system has just logged something


def test_no_more_than_the_limit_is_read_from_an_endless_input() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            self.asked += size
            return b"#" * size

    endless = Endless()
    with pytest.raises(FileError, match="<stdin> is larger than 64 MiB"):
        read_sources(["-"], endless)  # type: ignore[arg-type]
    assert endless.asked == MOST_BYTES + 1


def test_closed_standard_input_is_an_error() -> None:
    stdin = io.BytesIO()
    stdin.close()
    with pytest.raises(FileError, match="<stdin> cannot be read"):
        read_sources(["-"], stdin)
