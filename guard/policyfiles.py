"""
Policy files from disk: which files of a folder count, and their bytes. What is in them is judged by ``guard.core.load``.
"""

import errno
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from guard.core.lint import lint
from guard.core.load import load
from guard.core.policy import PolicySet
from guard.core.yamltext import MAX_BYTES
from guard.errors import BadInput, Diagnostic, PolicyErrors

SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = (".test.yaml", ".test.yml")


def read_folder(path: Path) -> list[tuple[str, bytes]]:
    """
    Return name and content of every policy file directly in a folder, or of the one file at *path*, in order of name.

    Policy files are `*.yaml` and `*.yml`, without `*.test.yaml`, `*.test.yml` and names that begin with a dot. Symlinks are
    followed: a mounted ConfigMap consists of them. Of a file that is too large only as much is read as proves it.

    Raises BadInput if there is no such folder or nothing in it that counts, PolicyErrors with all files that cannot be read.
    """
    contents, found = read_files([(file.name, file) for file in _files_at(path)])
    if found:
        raise PolicyErrors(found)
    return contents


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
    contents: list[tuple[str, bytes]] = []
    found: list[Diagnostic] = []
    for name, file in files:
        try:
            contents.append((name, _read(file)))
        except OSError as wrong:
            message = f"the file cannot be read: {wrong.strerror}"
            found.append(Diagnostic(file=name, line=0, column=0, message=message))
    return contents, found


def _read(file: Path) -> bytes:
    # Looked at before it is opened, because to open a pipe would wait for ever.
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)
