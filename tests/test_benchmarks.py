"""
The benchmarks run at tiny sizes and say what they promise to say; what they measure there is not looked at.
"""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import RESULTS
from benchmarks.__main__ import NAMES, measured, present
from benchmarks.figures import Figure, Result, alternating, exponent, percentile
from benchmarks.host import Host
from benchmarks.plot import Range, log_log, ranges
from benchmarks.table import BEGIN, README, read, rendered, shown, written

OURS = [name for name in NAMES if name != "decisions"]


@pytest.fixture(scope="module")
def small_runs():
    """
    Every benchmark at its tiny size, all at once: most of their time is waiting.
    """
    with ThreadPoolExecutor(len(OURS)) as pool:
        yield {name: pool.submit(measured, name, quick=True) for name in OURS}


@pytest.mark.server
@pytest.mark.parametrize("name", OURS)
def test_every_benchmark_runs_small(name, small_runs, tmp_path):
    """
    Each yields figures with a name and a number, and goes through JSON into the table unharmed.
    """
    result = small_runs[name].result(timeout=120)
    assert result.name == name
    assert result.figures
    written(result, tmp_path, quick=True)
    json.loads((tmp_path / f"{name}.json").read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    table = rendered(read(tmp_path, NAMES))
    assert all(one.name in table for one in result.figures)


def test_all_benchmarks_are_there():
    """
    The registry names no benchmark of ours that does not exist.
    """
    assert set(OURS) <= set(present())


@pytest.mark.parametrize(
    ("share", "value"),
    [pytest.param(0.5, 50, id="median"), pytest.param(0.99, 99, id="p99"), pytest.param(1.0, 100, id="maximum")],
)
def test_percentiles_are_values_that_were_measured(share, value):
    """
    A percentile is the smallest measured value that so many do not exceed.
    """
    assert percentile(range(1, 101), share) == value


def test_no_values_have_no_percentile():
    """
    Nothing measured is not zero.
    """
    assert math.isnan(percentile([], 0.99))


def test_rounds_alternate_and_the_ratio_is_the_median_of_theirs():
    """
    The ratio is that of each round, not of the medians.
    """
    ours, bare = iter([2.0, 9.0, 4.0]), iter([1.0, 3.0, 4.0])
    got = alternating(lambda: next(ours), lambda: next(bare), rounds=3)
    assert (got.ours, got.bare) == ((2.0, 9.0, 4.0), (1.0, 3.0, 4.0))
    assert got.ratio == 2.0
    assert got.medians == (4.0, 3.0)


def test_the_exponent_of_a_quadratic_is_two():
    """
    The fit is a slope between logarithms.
    """
    assert exponent([1, 10, 100], [3, 300, 30_000]) == pytest.approx(2)


def test_a_number_that_is_none_is_told_as_such():
    """
    What could not be measured does not look like a number.
    """
    figure = Figure(name="never", value=math.inf, unit="s", wanted="soon", met=False)
    assert "none s" in rendered([Result(name="start", figures=[figure])])


def test_the_plot_names_its_lines_and_sizes():
    """
    Every line and every size stands in the plot.
    """
    plot = log_log("t", (10, 1000), {"walk": (0.1, 9.0), "decisions": (0.01, 0.5)})
    assert all(text in plot for text in ("walk", "decisions", "1,000", "</svg>"))


def test_the_readme_shows_the_last_results():
    """
    The README's table is that of the results beside the benchmarks.
    """
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == 1
    assert text == shown(text, read(RESULTS, NAMES))


def test_the_plot_of_ranges_shows_every_one():
    """
    Every total has its dot, every panel its name, and what is above the scale ends at it.
    """
    plot = ranges("t", {"one": [Range(0.8, 0.9, 1.0, 99.0)] * 3, "two": [Range(0.8, 0.9, 1.0, 2.0)]})
    assert plot.count("<circle") == 4
    assert all(text in plot for text in (">one<", ">two<", "</svg>"))
    assert 'y2="-' not in plot


def test_what_the_host_took_is_told(tmp_path):
    """
    The share of stolen time stands beside the figures, with a note if it explains something; unknown, it is not told.
    """
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 1000 0 0\ncpu0 1\n", encoding="utf-8")
    host, quiet, result, still = Host(stat=stat), Host(stat=tmp_path / "none"), Result(name="x"), Result(name="y")
    stat.write_text("cpu  1 2 3 4 5 6 7 9000000 0 0\ncpu0 1\n", encoding="utf-8")
    host.tell(result)
    quiet.tell(still)
    assert [note.startswith("the host took away") for note in result.notes] == [True]
    assert (len(result.details), still.notes, still.details) == (1, [], {})
