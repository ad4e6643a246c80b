"""
The policy folder on a real disk: ConfigMaps that swap, bursts, folders that vanish, slow disks, and files that never rest.
"""

import itertools
import shutil
import threading
from datetime import UTC

import pytest
from policy_disk import BAD, Disk, good
from structlog.testing import capture_logs

from guard.core.load import digest_of
from guard.daemon.followed import RESTLESS_S
from guard.daemon.policies import policy_folder
from guard.errors import BadInput
from guard.policyfiles import mark_of, read_folder


class Watched:
    """
    A disk, the policy folder over it and a clock that is set by hand; *delay_s* is what one reading takes.
    """

    def __init__(self, root, **files):
        self.disk = Disk(root)
        for name, text in (files or {"a": good("a")}).items():
            self.disk.write(f"{name}.yaml", text)
        self.now_s = self.delay_s = 0.0
        self.folder = policy_folder(read=self._read, mark=lambda: mark_of(self.disk.path), zone=UTC)
        self.folder.first()

    def _read(self):
        try:
            return read_folder(self.disk.path)
        finally:
            self.now_s += self.delay_s

    def poll(self, at_s=None, **options):
        """
        The names of the policies of a new set, None if there is none.
        """
        self.now_s = self.now_s if at_s is None else at_s
        taken = self.folder.poll(steady=lambda: self.now_s, **options)
        return None if taken is None else [one.name for one in taken.policies]


@pytest.fixture
def watched(tmp_path):
    """
    A watched folder with one good file.
    """
    return Watched(tmp_path)


def logged(logs):
    """
    The names of the events.
    """
    return [one["event"] for one in logs]


def test_a_config_map_swaps_as_a_whole(tmp_path):
    """
    Both files of a ConfigMap change in one reload, 2 s after the swap of the link, and nothing before it counts.
    """
    one = Watched(tmp_path)
    one.disk.remove("a.yaml")
    one.disk.swap({"a.yaml": good("a1"), "b.yaml": good("b1")})
    one.poll(0.0)
    assert one.poll(2.0) == ["a1", "b1"]
    steps = one.disk.steps_of_swap({"a.yaml": good("a2"), "b.yaml": good("b2")})
    for _ in range(3):
        next(steps)
        assert one.poll(one.now_s + 10.0) is None
        assert not one.folder.changing
    list(steps)
    assert one.poll(100.0) is None
    assert one.folder.changing
    assert one.poll(101.9) is None
    assert one.poll(102.0) == ["a2", "b2"]
    assert not one.folder.changing


def test_a_config_map_loses_a_file(tmp_path):
    """
    A policy whose file is no longer in the ConfigMap goes; the link that dangles in between is not yet an error.
    """
    one = Watched(tmp_path)
    one.disk.remove("a.yaml")
    one.disk.swap({"a.yaml": good("a1"), "b.yaml": good("b1")})
    assert one.poll(at_once=True) == ["a1", "b1"]
    for _ in one.disk.steps_of_swap({"a.yaml": good("a1")}):
        one.poll(one.now_s + 0.5)
        assert one.folder.error == ""
    assert one.poll(one.now_s + 2.0) == ["a1"]


@pytest.mark.parametrize("replaced", [False, True], ids=["in-place", "by-rename"])
def test_a_burst_is_one_reload(watched, replaced):
    """
    However many writes follow one another, good and bad, there is one reload, of what came last.
    """
    write = watched.disk.replace if replaced else watched.disk.write
    taken = []
    for turn in range(40):
        write("a.yaml", BAD if turn % 3 else good(f"a{turn}"))
        taken.append(watched.poll(watched.now_s + 0.7))
    write("a.yaml", good("last"))
    taken += [watched.poll(watched.now_s + 0.5) for _ in range(20)]
    assert [one for one in taken if one is not None] == [["last"]]
    assert watched.folder.error == ""


def test_the_same_content_changes_nothing(watched):
    """
    New times, new modes, a new inode and files that do not count are no change, also when a reload is asked for.
    """
    before = watched.folder.taken
    with capture_logs() as logs:
        for touch in (
            lambda: (watched.disk.path / "a.yaml").touch(),
            lambda: (watched.disk.path / "a.yaml").chmod(0o600),
            lambda: watched.disk.replace("a.yaml", good("a")),
            lambda: watched.disk.write("a.test.yaml", BAD),
            lambda: watched.disk.write(".a.yaml", BAD),
            lambda: watched.disk.write("README.md", BAD),
        ):
            touch()
            assert watched.poll(watched.now_s + 10.0) is None
            assert not watched.folder.changing
        assert logged(logs) == []
        assert watched.poll(at_once=True) is None
    assert [(one["event"], one["digest"]) for one in logs] == [("policies.unchanged", before[:12])]
    assert (watched.folder.taken, watched.folder.error) == (before, "")


def test_a_change_that_is_taken_back(watched):
    """
    Content that returns to what is in force before it was taken is no reload.
    """
    watched.disk.write("a.yaml", good("b"))
    watched.poll(1.0)
    watched.disk.write("a.yaml", good("a"))
    assert [watched.poll(at_s) for at_s in (2.0, 3.0, 10.0)] == [None] * 3
    assert not watched.folder.changing


def test_a_folder_that_vanishes_and_returns(watched):
    """
    A folder that is away for a moment is nothing; away for 2 s it is one error, mended without a reload once it returns.
    """
    disk = watched.disk
    with capture_logs() as logs:
        disk.path.rename(disk.away)
        watched.poll(1.0)
        disk.away.rename(disk.path)
        watched.poll(2.0)
        assert logs == []
        disk.path.rename(disk.away)
        for at_s in (10.0, 11.0, 12.0, 13.0, 60.0):
            assert watched.poll(at_s) is None
        assert "got nothing at that place" in watched.folder.error
        disk.away.rename(disk.path)
        assert watched.poll(61.0) is None
    assert logged(logs) == ["policies.refused", "policies.mended"]
    assert watched.folder.error == ""


def test_a_folder_that_returns_as_another(watched):
    """
    A folder that comes back with other files is taken like any change.
    """
    shutil.rmtree(watched.disk.path)
    watched.poll(1.0)
    watched.poll(3.0)
    watched.disk.path.mkdir()
    watched.poll(4.0)
    watched.disk.write("z.yaml", good("z"))
    assert watched.poll(5.0) is None
    assert watched.poll(7.0) == ["z"]


def test_a_person_who_asks_again_is_answered_again(watched):
    """
    A bad set is logged once by itself, and once more whenever a reload is asked for.
    """
    watched.disk.write("a.yaml", BAD)
    with capture_logs() as logs:
        for at_s in range(10):
            watched.poll(float(at_s))
        assert logged(logs) == ["policies.refused"]
        watched.poll(at_once=True)
    assert logged(logs) == ["policies.refused"] * 2


@pytest.mark.parametrize(
    ("delay_s", "polls"),
    [pytest.param(0.0, 3, id="fast-disk"), pytest.param(1.5, 3, id="slow-disk"), pytest.param(5.0, 3, id="very-slow-disk")],
)
def test_content_stands_still_between_two_readings(watched, delay_s, polls):
    """
    The 2 s run from the end of the first reading to the beginning of the next, whatever a reading takes.
    """
    watched.delay_s = delay_s
    watched.disk.write("a.yaml", good("b"))
    taken = [watched.poll(watched.now_s + 1.0) for _ in range(polls)]
    assert taken == [None, None, ["b"]]


def test_files_that_never_stand_still(watched):
    """
    A folder that changes for a minute is an error, once; it is taken as soon as it rests.
    """
    with capture_logs() as logs:
        for turn in range(int(RESTLESS_S) + 30):
            watched.disk.write("a.yaml", good(f"a{turn}"))
            assert watched.poll(float(turn)) is None
            assert (watched.folder.error != "") is (turn >= RESTLESS_S)
        assert watched.poll(watched.now_s + 2.0) == [f"a{turn}"]
    assert logged(logs) == ["policies.restless"]
    assert watched.folder.error == ""


def test_what_is_written_again_and_again_does_not_stand_still(watched):
    """
    A file that reads the same at every look, because it is half written each time, was touched in between and is not taken.
    """
    text = good("b")
    half = text[: text.index("      duration")]
    for turn in range(30):
        watched.disk.write("a.yaml", text)
        watched.disk.replace("a.yaml", half)
        assert watched.poll(float(turn)) is None
        assert watched.folder.changing
    watched.disk.write("a.yaml", text)
    watched.poll(30.0)
    assert watched.poll(32.0) == ["b"]


def test_a_restless_folder_that_ends_bad(watched):
    """
    When a restless folder rests with content that was refused before, the error is that of the content again.
    """
    watched.disk.write("a.yaml", BAD)
    watched.poll(0.0)
    watched.poll(2.0)
    refused = watched.folder.error
    for turn in range(int(RESTLESS_S) + 5):
        watched.disk.write("a.yaml", good(f"a{turn}"))
        watched.poll(10.0 + turn)
    assert "stand still" in watched.folder.error
    watched.disk.write("a.yaml", BAD)
    watched.poll(200.0)
    watched.poll(202.0)
    assert watched.folder.error == refused


def test_no_half_of_two_versions(tmp_path):
    """
    While ConfigMaps are swapped as fast as the disk can, every set that is read, at start or at once, is one version.
    """
    disk, names = Disk(tmp_path), [f"{number}.yaml" for number in range(8)]

    def texts(version):
        return {name: good(f"p{index}-{version}") for index, name in enumerate(names)}

    whole: set[str] = set()
    enough = threading.Event()

    def bring(version):
        whole.add(digest_of([(name, text.encode()) for name, text in texts(version).items()]))
        disk.swap(texts(version))

    def swap_on():
        for version in itertools.count(1):
            if enough.is_set():
                return
            bring(version)

    bring(0)
    writer = threading.Thread(target=swap_on, daemon=True)
    watch = policy_folder(read=lambda: read_folder(disk.path), zone=UTC)
    watch.first()
    read, restless = set(), 0
    writer.start()
    # However busy the machine is: until enough whole readings were met.
    while len(read) <= 10 and writer.is_alive():
        try:
            read.add(digest_of(read_folder(disk.path)))
        except BadInput as error:
            assert "hold still" in str(error)  # noqa: PT017 - most readings succeed, and those must be whole
            restless += 1
        before = watch.taken
        taken = watch.poll(steady=lambda: 0.0, at_once=True)
        assert (taken is None) is (watch.taken == before)
        assert watch.taken in whole
        assert taken is None or len({one.name.partition("-")[2] for one in taken.policies}) == 1
    enough.set()
    writer.join()
    assert read <= whole
    assert len(read) > 3


def test_versions_that_swap_back_and_forth(tmp_path):
    """
    A link that goes back and forth between two versions that both stay is never read as half of each.
    """
    disk, names = Disk(tmp_path), [f"{number}.yaml" for number in range(8)]
    for version in ("..1", "..2"):
        (disk.path / version).mkdir()
        for name in names:
            (disk.path / version / name).write_text(version)
    (disk.path / "..data").symlink_to("..1")
    for name in names:
        (disk.path / name).symlink_to(f"..data/{name}")

    def flip():
        for version in itertools.islice(itertools.cycle(("..2", "..1")), 3_000):
            (disk.path / "..tmp").symlink_to(version)
            (disk.path / "..tmp").rename(disk.path / "..data")

    writer = threading.Thread(target=flip)
    writer.start()
    while writer.is_alive():
        try:
            contents = {content for _, content in read_folder(disk.path)}
        except BadInput:
            continue
        assert len(contents) == 1
    writer.join()
    assert read_folder(disk.path)[0][1] == b"..1"
