"""
Policy files from disk: which of them count, and what is said of those that cannot be read.
"""

import os
import socket
from datetime import UTC

import pytest

from guard.core.yamltext import MAX_BYTES
from guard.errors import BadInput, PolicyErrors
from guard.policyfiles import load_paths, read_folder

EMPTY = "policies: []"


def policy(name):
    """
    Return a file with one policy of that name.
    """
    return f"policies: [{{name: {name}, match: {{user: a}}}}]"


@pytest.fixture
def folder(tmp_path):
    """
    A folder for policy files, with something beside them that does not count.
    """
    path = tmp_path / "policies"
    path.mkdir()
    for name in ("README.md", "a.test.yaml", "a.test.yml", ".hidden.yaml", "a.yaml.bak", "a.YAML", "yaml"):
        (path / name).write_text("not: [a policy")
    (path / "deeper").mkdir()
    (path / "deeper" / "d.yaml").write_text("not: [a policy")
    return path


def test_what_counts_in_order_of_name(folder):
    """
    Policy files are those with the suffix directly in the folder, without tests and hidden ones, sorted by name.
    """
    for name in ("b.yaml", "B.yml", "10.yaml", "9.yaml", "test.yaml"):
        (folder / name).write_text(name)
    assert read_folder(folder) == [(name, name.encode()) for name in ("10.yaml", "9.yaml", "B.yml", "b.yaml", "test.yaml")]


def test_a_mounted_config_map(folder):
    """
    The links of a mounted ConfigMap are followed, and its hidden folders are not read twice.
    """
    for version in ("..2026_01", "..2026_02"):
        (folder / version).mkdir()
        (folder / version / "a.yaml").write_text(version)
    (folder / "..data").symlink_to("..2026_01")
    (folder / "a.yaml").symlink_to("..data/a.yaml")
    assert read_folder(folder) == [("a.yaml", b"..2026_01")]
    (folder / "..data_new").symlink_to("..2026_02")
    (folder / "..data_new").rename(folder / "..data")
    assert read_folder(folder) == [("a.yaml", b"..2026_02")]


def test_a_single_file(folder):
    """
    A path may be one file, which then counts whatever its name is.
    """
    assert read_folder(folder / "README.md") == [("README.md", b"not: [a policy")]


@pytest.mark.parametrize("size", [MAX_BYTES, MAX_BYTES + 1, MAX_BYTES * 3], ids=["allowed", "one-more", "far-more"])
def test_no_more_is_read_than_proves_too_much(folder, size):
    """
    Of a file that is too large one byte more than the limit is read, so that the loader can refuse it.
    """
    (folder / "large.yaml").write_bytes(b"#" * size)
    ((_, content),) = read_folder(folder)
    assert len(content) == min(size, MAX_BYTES + 1)


def test_nothing_to_read(folder, tmp_path):
    """
    A missing folder, a folder without policy files, and what is neither folder nor file are named and refused.
    """
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "socket"))
    bound.close()
    for path, message in {
        tmp_path / "none": "expected a folder of policy files, got nothing at that place",
        tmp_path / "socket": "expected a folder of policy files: Not a directory",
        folder / ("x" * 300): "expected a folder of policy files: File name too long",
        folder: "expected at least one policy file (*.yaml or *.yml), got none; an empty set is 'policies: []'",
    }.items():
        with pytest.raises(BadInput) as caught:
            read_folder(path)
        assert str(caught.value) == f"{str(path)!r}: {message}"


def test_files_that_cannot_be_read(folder):
    """
    Every file that cannot be read is named at once, and a pipe is not waited for.
    """
    (folder / "fine.yaml").write_text(EMPTY)
    (folder / "dangling.yaml").symlink_to("nowhere")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    with pytest.raises(PolicyErrors) as caught:
        read_folder(folder)
    assert str(caught.value).splitlines() == [
        "dangling.yaml: error: the file cannot be read: No such file or directory",
        "folder.yaml: error: the file cannot be read: not a regular file",
        "loop.yaml: error: the file cannot be read: Too many levels of symbolic links",
        "pipe.yaml: error: the file cannot be read: not a regular file",
    ]


def test_several_paths(folder, tmp_path):
    """
    Files and folders together are one set, in the order given; a file that is named twice counts once, a test never.
    """
    (folder / "b.yaml").write_text(policy("b"))
    (tmp_path / "a.yaml").write_text(policy("a"))
    paths = [folder, tmp_path / "a.yaml", folder / "b.yaml", folder / "a.test.yaml"]
    taken = load_paths(paths, zone=UTC)
    assert [one.name for one in taken.policies] == ["b", "a"]
    assert [one.place for one in taken.policies] == [f"{folder / 'b.yaml'}:1", f"{tmp_path / 'a.yaml'}:1"]


def test_all_errors_of_several_paths(folder, tmp_path):
    """
    What cannot be read and what is wrong inside the rest is said at once, with the files named as they were given.
    """
    (folder / "b.yaml").write_text(policy("B"))
    (folder / "dangling.yaml").symlink_to("nowhere")
    with pytest.raises(PolicyErrors) as caught:
        load_paths([folder], zone=UTC)
    assert str(caught.value).splitlines() == [
        f"{folder / 'dangling.yaml'}: error: the file cannot be read: No such file or directory",
        f"{folder / 'b.yaml'}:1:19: error: name: expected at most 63 small letters, digits and inner hyphens, got 'B'",
    ]
    (folder / "b.yaml").write_text(policy("b"))
    with pytest.raises(PolicyErrors, match=r"dangling\.yaml: error: the file cannot be read"):
        load_paths([folder], zone=UTC)


@pytest.mark.parametrize("names", [[], ["a.test.yaml"]], ids=["no-paths", "only-tests"])
def test_paths_without_policies(folder, names):
    """
    Paths at which there is nothing but policy tests hold no policies.
    """
    with pytest.raises(BadInput, match="expected policy files, got none"):
        load_paths([folder / name for name in names], zone=UTC)
