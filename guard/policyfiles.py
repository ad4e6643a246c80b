"""
Policy files from disk: which files of a folder count, and their bytes. What is in them is judged by ``guard.core.load``.
"""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from guard.core.lint import lint
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.core.yamltext import MAX_BYTES
from guard.errors import BadInput, Diagnostic, PolicyErrors

SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = (".test.yaml", ".test.yml")
TRIES = 10

Stamp = tuple[int, ...]
Mark = tuple[tuple[str | int, ...], ...]


class _Read(NamedTuple):
    """
    One file as it was read: its content, or the *problem* with it; the stamp is that of what was opened, not of the name.
    """

    name: str
    content: bytes
    stamp: Stamp
    problem: str


def read_folder(path: Path) -> list[tuple[str, bytes]]:
    """
    Return name and content of every policy file directly in a folder, or of the one file at *path*, in order of name.

    Policy files are `*.yaml` and `*.yml`, without `*.test.yaml`, `*.test.yml` and names that begin with a dot. Symlinks are
    followed: a mounted ConfigMap consists of them. Of a file that is too large only as much is read as proves it.

    What is returned was there all at one moment: files that change while they are read, as those of a ConfigMap do at its
    swap, are read again, so that half of one version never meets half of another.

    Raises BadInput if there is no such folder, if nothing in it counts or if it does not hold still, PolicyErrors with all
    files that cannot be read.
    """
    for _ in range(TRIES):
        files = _files_at(path)
        before = _stamps(path, files)
        read = [_read(file.name, file) for file in files]
        as_seen = all(one.problem or one.stamp == before[file] for one, file in zip(read, files, strict=True))
        if as_seen and _stamps(path, _files_at(path)) == before:
            break
    else:
        raise BadInput(f"{str(path)!r}: expected files that hold still, but they changed each time they were read")
    contents, found = _sorted_out(read)
    if found:
        raise PolicyErrors(found)
    return contents


def mark_of(path: Path) -> Mark:
    """
    Return what is another whenever a policy file of a folder, or the folder, was touched, also if it reads as before.

    Raises BadInput as ``read_folder`` does.
    """
    # Without the numbers of devices and inodes: some file systems make them up anew from time to time.
    return tuple((str(one), *stamp[-3:]) for one, stamp in _stamps(path, _files_at(path)).items())


def read_file(path: Path) -> list[tuple[str, bytes]]:
    """
    Return name and content of one file, as ``read_folder`` does of several; raises PolicyErrors if it cannot be read.
    """
    contents, found = read_files([(str(path), path)])
    if found:
        raise PolicyErrors(found)
    return contents


def mark_of_file(path: Path) -> Mark:
    """
    Return what is another whenever a file was touched.
    """
    return tuple((str(one), *stamp[-3:]) for one, stamp in _stamps(path, ()).items())


def load_paths(paths: Sequence[Path], *, zone: tzinfo) -> PolicySet:
    """
    Return the policies of several files and folders, for a person who asks what is wrong with them.

    A file that is named twice counts once; policy tests (`*.test.yaml`) count nowhere. Errors name files as the person did.
    Raises PolicyErrors with everything that is wrong, or BadInput if a path does not exist or nothing counts.
    """
    contents, found = read_files(_named_files(paths))
    try:
        policies = load(contents, zone=zone)
    except PolicyErrors as wrong:
        raise PolicyErrors([*found, *wrong.diagnostics]) from None
    if found:
        raise PolicyErrors(found)
    return policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    What is right and wrong with policy files: every error, or the policies and every warning about them.

    *diagnostics* stand in the order of the files and of their lines; *contents* has the bytes of every file that was read.
    """

    policies: PolicySet | None
    diagnostics: tuple[Diagnostic, ...]
    contents: Mapping[str, bytes]


def check_paths(paths: Sequence[Path], *, zone: tzinfo, now_ms: int) -> Checked:
    """
    Return everything that is to be said about several files and folders, as ``load_paths`` reads them.

    Raises BadInput if a path does not exist or nothing counts.
    """
    files = _named_files(paths)
    contents, found = read_files(files)
    policies = None
    try:
        policies = load(contents, zone=zone)
    except PolicyErrors as wrong:
        found += wrong.diagnostics
    if policies is not None and not found:
        found += lint(policies, now_ms=now_ms)
    order = {name: index for index, (name, _) in enumerate(files)}
    found.sort(key=lambda one: (order[one.file], one.line, one.column))
    return Checked(policies=policies, diagnostics=tuple(found), contents=dict(contents))


def _named_files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    files = {file.absolute(): file for path in paths for file in _files_at(path)}
    policy_files = [(str(file), file) for file in files.values() if not file.name.endswith(TEST_SUFFIXES)]
    if not policy_files:
        raise BadInput(f"expected policy files, got none in {', '.join(map(repr, map(str, paths)))}")
    return policy_files


def _files_at(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path]
        if not path.exists():
            raise BadInput(f"{str(path)!r}: expected a folder of policy files, got nothing at that place")
        entries = list(path.iterdir())
    except OSError as wrong:
        raise BadInput(f"{str(path)!r}: expected a folder of policy files: {wrong.strerror}") from wrong
    files = [entry for entry in entries if _counts(entry.name)]
    if not files:
        raise BadInput(
            f"{str(path)!r}: expected at least one policy file (*.yaml or *.yml), got none; an empty set is 'policies: []'"
        )
    return sorted(files, key=lambda file: file.name)


def _counts(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.endswith(TEST_SUFFIXES) and not name.startswith(".")


def tests_in(folder: Path) -> list[Path]:
    """
    Return the files of policy tests directly in a folder, in order of name.
    """
    found = (entry for entry in folder.iterdir() if entry.name.endswith(TEST_SUFFIXES) and not entry.name.startswith("."))
    return sorted(found, key=lambda file: file.name)


def read_files(files: Sequence[tuple[str, Path]]) -> tuple[list[tuple[str, bytes]], list[Diagnostic]]:
    """
    Return name and content of every file that can be read, of which at most a byte more than is allowed, and the others.
    """
    return _sorted_out([_read(name, file) for name, file in files])


def _sorted_out(read: Sequence[_Read]) -> tuple[list[tuple[str, bytes]], list[Diagnostic]]:
    contents = [(one.name, one.content) for one in read if not one.problem]
    found = [
        Diagnostic(file=one.name, line=0, column=0, message=f"the file cannot be read: {one.problem}")
        for one in read
        if one.problem
    ]
    return contents, found


def _read(name: str, file: Path) -> _Read:
    try:
        # Looked at before it is opened, because to open a pipe would wait for ever; and if one took its place, it does not.
        _regular(file.stat())
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            _regular(os.fstat(stream.fileno()))
            content = stream.read(MAX_BYTES + 1)
            return _Read(name, content, _stamp(os.fstat(stream.fileno())), "")
    except OSError as wrong:
        return _Read(name, b"", (), wrong.strerror or str(wrong))


def _regular(seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def _stamps(path: Path, files: Sequence[Path]) -> dict[Path, Stamp]:
    """
    Return what changes with a folder or its files: which they are, behind every symlink, and when they last changed.
    """
    found: dict[Path, Stamp] = {}
    for one in (path, *files):
        try:
            found[one] = _stamp(one.stat())
        except OSError as wrong:
            found[one] = (wrong.errno or 0,)
    return found


def _stamp(seen: os.stat_result) -> Stamp:
    return (seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
