"""
Reports in every format: the figures arrive exactly, and whatever somebody named a job or a user stays text.
"""

import csv
import io
import json
import xml.etree.ElementTree as ET
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from guard.core.clawback import WINDOW_MS
from guard.core.harm import WITHIN_MS, Harm, Hindsight
from guard.core.spans import DAY_MS
from guard.core.totals import Total
from guard.reporting.contents import Saved, forecasts, harm, potential, savings
from guard.reporting.page import as_html
from guard.reporting.sections import Column, Range, Report, Section, shown
from guard.reporting.texts import as_csv, as_json, as_markdown, as_tables
from tests.changing import replace

HOSTILE = {
    "script": '"><script>alert(1)</script>',
    "attribute": "' onmouseover='alert(1)",
    "ansi": "\x1b[31mred\x1b[2J\x1b]0;title\x07",
    "newlines": "a\r\nb\n| c |\u2028d\u0085e",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "formula-after-a-space": " +1+1",
    "formula-in-full-width": "＝1+1",
    "formula-after-a-tab": "\t@SUM(1)",
    "formula-of-another-country": 'x;=cmd|"/c calc"!A0',
    "right-to-left": "\u202egnp.exe\u2069\u200f",
    "markdown": "[x](javascript:alert(1)) ![y](http://evil.example/z) **b** `c` <b>d</b> | e \\| f",
    "autolink": "www.evil.example http://evil.example a@evil.example",
    "rich": "[bold red]x[/] [link=http://evil.example]y[/link]",
    "entity": "&lt;b&gt; &#60;",
    "nul-and-surrogate": "a\x00b\ud800c",
    "long": "x" * 5_000,
    "apostrophe": "'=1+1",
    "empty": "",
}


def report(name: str) -> Report:
    """
    Return a report of two rows in which everything that a person may have named is so named.
    """
    columns = (Column(key="user", title="user"), Column(key="jobs", title="jobs"), Column(key="cost", title="cost"))
    section = Section(
        key="spend",
        title=f"Spend of {name}",
        columns=columns,
        rows=((name, 1_234, Decimal("1234567.8912345678")), ("ann", 1, None)),
        note=f"Note {name}",
        charts=(Range(title=f"Chart {name}", label="user", high="cost"),),
    )
    headline = ((Column(key="total", title="spent"), Decimal("99.5")), (Column(key="top", title="top"), name))
    return Report(
        title=f"Report {name}", period="November", made="Made today", currency="CNY", headline=headline, sections=(section,)
    )


class Page(HTMLParser):
    """
    Reads a page as a browser would: its elements with their attributes, and the text in them.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """
        Keep an element.
        """
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        """
        Keep a text.
        """
        self.texts.append(data)


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def name(request):
    """
    A name that means harm.
    """
    return request.param


def cleaned(text):
    """
    Return the text as every format for people may show it.
    """
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def printable(text):
    """
    Tell whether nothing in a text but its line ends is a control or turns text around.
    """
    return all(char.isprintable() or char in "\r\n" for char in text)


def test_html_holds_names_as_text(name):
    """
    The page of a hostile name has the same elements and attributes as that of a harmless one, and shows the name.
    """
    hostile, harmless = Page(as_html(report(name))), Page(as_html(report("ann")))
    assert [(tag, list(attributes)) for tag, attributes in hostile.elements] == [
        (tag, list(attributes)) for tag, attributes in harmless.elements
    ]
    assert not {tag for tag, _ in hostile.elements} & {"script", "img", "a", "iframe", "link", "object"}
    assert "".join(hostile.texts).count(cleaned(name)) >= 3
    assert printable(as_html(report(name)))


def test_html_loads_nothing_and_its_charts_are_whole(name):
    """
    No address stands in the page, its policy forbids everything, and each chart is well-formed.
    """
    page = as_html(report(name))
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    attributes = [value or "" for _, each in Page(page).elements for key, value in each.items() if key in ("src", "href")]
    assert attributes == []
    svg = page[page.index("<svg") : page.index("</svg>") + 6]
    assert ET.fromstring(svg).tag == "svg"  # noqa: S314  # our own text


def test_markdown_makes_nothing_of_names(name):
    """
    Rendered with every extension on, there is a heading, a table and text: no link, no image, no markup of the name.
    """
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(as_markdown(report(name)))
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline", "strong_open", "em_open", "fence"}
    assert sum(token.type == "tr_open" for token in tokens) == 3 + 3
    assert sum(token.type == "heading_open" for token in tokens) == 2
    texts = ["".join(child.content for child in token.children) for token in tokens if token.type == "inline"]
    assert cleaned(name).strip() in [text.strip() for text in texts]
    assert printable(as_markdown(report(name)))


def test_markdown_breaks_bare_addresses():
    """
    What a service would make a link of by itself is no address any more.
    """
    written = as_markdown(report(HOSTILE["autolink"]))
    assert not any(address in written for address in ("www.", "http:", "a@"))


def test_csv_has_no_formula(name):
    """
    However cells are parted, at commas or at semicolons, none that came from a name begins like a formula.
    """
    written = as_csv(report(name))
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert [len(row) for row in rows] == [1, 3, 3, 3]
    assert rows[2][1:] == ["1234", "1234567.8912345678"]
    for cell in (*rows[2][:1], *rows[2][0].replace("|", ";").replace(",", ";").split(";")):
        assert cell.strip()[:1] not in tuple("=+-@＝＋－＠")
    assert printable(written)


def test_json_is_exact_and_ascii(name):
    """
    A machine gets the name as it is and the money with every digit; what is unknown is null.
    """
    written = as_json(report(name))
    assert written.isascii()
    first, second = json.loads(written)["sections"]["spend"]
    assert first == {"user": name, "jobs": 1234, "cost": "1234567.8912345678"}
    assert second["cost"] is None


def test_a_terminal_is_left_alone(name):
    """
    Nothing colours, moves or erases, and no markup is followed.
    """
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(as_tables(report(name)))
    written = console.file.getvalue()
    assert printable(written)
    assert "1,234,567.89" in written
    assert "unknown" in written


def test_figures_stand_exactly_in_the_page():
    """
    What a person reads is rounded; what a machine reads beside it is not.
    """
    elements = [attributes for tag, attributes in Page(as_html(report("ann"))).elements if tag == "data"]
    assert [one["value"] for one in elements if one["data-key"] == "cost"] == ["1234567.8912345678", ""]
    assert [one["value"] for one in elements if one["data-key"] == "total"] == ["99.5"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        pytest.param(None, "unknown", id="unknown-is-not-zero"),
        pytest.param(Decimal(0), "0.00", id="zero"),
        pytest.param(Decimal("-1234.565"), "-1,234.56", id="half-to-even"),
        pytest.param(Decimal("1" + "0" * 40), "1.000000e+40", id="more-digits-than-a-context"),
        pytest.param(12_345, "12,345", id="a-count"),
    ],
)
def test_cells(cell, text):
    """
    Money has two places and separators, whatever its size.
    """
    assert shown(cell) == text


def test_a_row_must_fit_its_columns():
    """
    A cell that is missing would shift all others below wrong titles.
    """
    with pytest.raises(ValueError, match="spend"):
        Section(key="spend", title="", columns=(Column(key="a", title="a"),), rows=((1, 2),))


def test_an_empty_section_says_so():
    """
    No rows are no empty chart and no bare table.
    """
    page = as_html(Report(title="t", period="p", made="m", currency="CNY", sections=(harm([]),)))
    assert "None in this period." in page
    assert "<svg" not in page


TOTAL = Total(
    currency="CNY",
    measured=9,
    assumed=1,
    expected=Decimal(300),
    assumed_money=Decimal(10),
    lower=Decimal(200),
    upper=Decimal(900),
    at_least=Decimal(150),
)
SEEN = Hindsight(
    policy="one-day",
    currency="CNY",
    runs=40,
    running=3,
    cut_short=1,
    potential=Decimal(500),
    so_far=Decimal(20),
    unpriced=2,
    harm=tuple(
        Harm(within_ms=within, completed=number, spent=Decimal(240 * number), unpriced=number // 4)
        for number, within in enumerate(WITHIN_MS, start=2)
    ),
    compared=30,
    measured=Decimal(400),
    expected=Decimal(410),
    assumed=4,
    unfollowed=1,
)


def test_savings_show_all_three_numbers_and_how():
    """
    Lower, expected and upper stand beside each other, what is assumed apart, and the method below them.
    """
    section = savings([Saved(label="ann", total=TOTAL, clawed_back=Decimal(30))], by="user", horizon_ms=DAY_MS, min_ends=30)
    assert [section.column(key)[0] for key in ("lower", "expected", "upper", "at_least")] == [200, 300, 900, 150]
    assert [section.column(key)[0] for key in ("terminations", "assumed_terminations", "assumed", "clawed_back")] == [
        10,
        1,
        10,
        30,
    ]
    assert all(word in section.note for word in ("24h", "Kaplan-Meier", "95 %", "at least 30", "24 hours"))
    assert WINDOW_MS == DAY_MS
    page = as_html(Report(title="t", period="p", made="m", currency="CNY", sections=(section,)))
    assert page.count("<rect") == 2


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        pytest.param({}, (400, 410, Decimal("1.02")), id="compared"),
        pytest.param({"measured": Decimal(0)}, (0, 410, None), id="nothing-was-measured"),
        pytest.param({"compared": 0}, (None, None, None), id="nothing-was-compared"),
    ],
)
def test_what_was_expected_stands_beside_what_was_measured(changes, figures):
    """
    The estimator is shown with the number of runs that it was tried on; without one, no figure looks like a good one.
    """
    section = forecasts([replace(SEEN, **changes)], horizon_ms=DAY_MS)
    assert tuple(section.column(key)[0] for key in ("measured", "expected", "ratio")) == figures
    counts = [section.column(key)[0] for key in ("compared", "assumed", "unfollowed")]
    assert counts == [changes.get("compared", 30), 4, 1]
    assert "24h" in section.note


def test_a_mark_beyond_its_bar_is_inside_the_chart():
    """
    Where more was expected than measured, the mark is drawn to the same scale, and the figure stands behind it.
    """
    section = forecasts([replace(SEEN, measured=Decimal(100), expected=Decimal(400))], horizon_ms=DAY_MS)
    page = as_html(Report(title="t", period="p", made="m", currency="CNY", sections=(section,)))
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314  # our own text
    bar, mark = (one.attrib for one in svg.iter("rect"))
    figure = list(svg.iter("text"))[1]
    right = float(svg.attrib["viewBox"].split()[2])
    assert float(bar["width"]) * 4 == pytest.approx(float(mark["x"]) + 1.5, abs=1)
    assert float(mark["x"]) < float(figure.attrib["x"]) < right
    assert figure.text == "100.00"


def test_hindsight_stands_in_two_tables():
    """
    What policies would have saved is measured; whom they would have hurt has its own table.
    """
    saved, hurt = potential([SEEN]), harm([SEEN])
    assert (saved.column("potential"), saved.column("runs"), saved.column("lost")) == ([500], [40], [0])
    assert (hurt.column("completed_1h"), hurt.column("spent_1h")) == ([2], [480])
    assert (hurt.column("completed_24h"), hurt.column("spent_24h")) == ([4], [None])


def test_a_chart_shows_the_largest():
    """
    Of many rows the largest are drawn, and how many more there are is said.
    """
    columns = (Column(key="user", title="user"), Column(key="cost", title="cost"))
    rows = tuple((f"user {index}", Decimal(index)) for index in range(40))
    section = Section(key="s", title="s", columns=columns, rows=rows, charts=(Range(title="c", label="user", high="cost"),))
    page = as_html(Report(title="t", period="p", made="m", currency="CNY", sections=(section,)))
    assert page.count("<rect") == 15
    assert "25 more in the table" in page
