"""
A policy folder on a real disk for the tests of the reload: plain files, a mounted ConfigMap, and everything that people and
machines do to them.
"""

import contextlib
import os
import shutil
from pathlib import Path

from guard.core.load import digest_of

TEMPLATE = """
policies:
  - name: {name}
    mode: enforce
    match:
      billing_code: modelarts.vm.gpu.p100.eco
      duration: {{gt: {minutes}m}}
exemptions:
  - name: spared-{name}
    match: {{id: {spared}}}
    reason: a test
    owner: alice
    until: 2099-01-01
"""
BAD = "policies: [{name: broken}]\n"


def good(name, *, minutes=24 * 60, spared="nobody"):
    """
    A file with one policy in enforce and one exemption, that spares a job.
    """
    return TEMPLATE.format(name=name, minutes=minutes, spared=spared)


class Disk:
    """
    The folder *path*, whose ``..data`` links to the newest version of a ConfigMap once there is one.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "policies"
        self.away = root / "away"
        self.path.mkdir()
        self._versions = 0

    def write(self, name, text):
        """
        Overwrite a file in place.
        """
        (self.path / name).write_text(text)

    def replace(self, name, text):
        """
        Write a hidden file beside it and rename it, as editors do.
        """
        (self.path / f".{name}.swp").write_text(text)
        (self.path / f".{name}.swp").rename(self.path / name)

    def remove(self, name):
        """
        Remove whatever has that name.
        """
        file = self.path / name
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)

    def steps_of_swap(self, texts):
        """
        What a kubelet does to bring a new version of a ConfigMap: yield after every step that a reader may see.
        """
        self._versions += 1
        new, link, data = f"..2026_{self._versions}", self.path / "..data_tmp", self.path / "..data"
        (self.path / new).mkdir()
        for name, text in texts.items():
            (self.path / new / name).write_text(text)
            yield
        old = os.readlink(data) if data.is_symlink() else None
        link.symlink_to(new)
        yield
        link.rename(data)
        yield
        for name in texts:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
                yield
        for entry in list(self.path.iterdir()):
            if entry.is_symlink() and entry.name not in texts and os.readlink(entry).startswith("..data/"):
                entry.unlink()
                yield
        if old is not None:
            shutil.rmtree(self.path / old)
            yield

    def swap(self, texts):
        """
        Bring a new version of a ConfigMap, all at once.
        """
        for _ in self.steps_of_swap(texts):
            pass

    def there(self):
        """
        Names and contents of the policy files as they lie there now, None if one of them cannot be read or none counts.
        """
        found = []
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self.path)):
                if name.endswith(".yaml") and not name.startswith("."):
                    found.append((name, (self.path / name).read_bytes()))
            return found or None
        return None

    def digest(self):
        """
        The digest of what lies there now, or "" if it cannot be read.
        """
        files = self.there()
        return "" if files is None else digest_of(files)
