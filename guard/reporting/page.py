"""
A report as one HTML file that a person puts into a mail: no script, nothing loaded, charts drawn inside of it.

It reads on a telephone, where each row becomes a small card, and on paper, where nothing is cut off.
"""

from guard.reporting.charts import chart, text
from guard.reporting.sections import Cell, Column, Report, Section, exactly, shown

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
_STYLE = """
:root { color-scheme: light; --ink: #1c2733; --faint: #5d6b7a; --line: #d9e0e7; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.2rem; color: var(--ink); background: #fff; }
body { font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p, figcaption { color: var(--faint); margin: .3rem 0 .8rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
svg { display: block; width: 100%; max-width: 30rem; height: auto; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1.2rem 0; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid var(--line); }
th, td { vertical-align: top; overflow-wrap: anywhere; }
td:not(.n) { min-width: 4rem; }
td:first-child { min-width: 7rem; }
th { color: var(--faint); font-weight: 600; overflow-wrap: normal; }
.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
@media screen and (max-width: 44rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 .7rem; padding: .3rem .2rem; }
  td, td.n { display: flex; justify-content: space-between; gap: 1rem; text-align: right; border: 0; padding: .2rem .6rem; }
  td::before { content: attr(data-title); color: var(--faint); text-align: left; flex: none; max-width: 50%; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  dl div, tr, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def as_html(report: Report) -> str:
    """
    Return the page. Figures stand in ``data`` elements, whose value is exact; what a name holds is text and nothing else.
    """
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">',
        f"<title>{text(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{text(report.title)}</h1><p>{text(report.period)}. {text(report.made)}.</p></header>",
    ]
    if report.headline:
        cards = (f"<div><dt>{text(one.title)}</dt><dd>{_cell(one, cell)}</dd></div>" for one, cell in report.headline)
        parts.append(f"<dl>{''.join(cards)}</dl>")
    parts += [_section(section) for section in report.sections]
    return "\n".join([*parts, "</body></html>", ""])


def _section(section: Section) -> str:
    note = f"<p>{text(section.note)}</p>" if section.note else ""
    charts = "".join(chart(section, wanted) for wanted in section.charts)
    table = _table(section) if section.rows else "<p>None in this period.</p>"
    return f'<section id="{text(section.key)}"><h2>{text(section.title)}</h2>{note}{charts}{table}</section>'


def _table(section: Section) -> str:
    columns = [(one, ' class="n"' if section.is_numeric(one.key) else "") for one in section.columns]
    heads = "".join(f'<th scope="col"{side}>{text(one.title)}</th>' for one, side in columns)
    rows = []
    for row in section.rows:
        cells = (
            f'<td data-title="{text(one.title)}"{side}>{_cell(one, cell)}</td>'
            for (one, side), cell in zip(columns, row, strict=True)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(column: Column, cell: Cell) -> str:
    if isinstance(cell, str):
        return f'<bdi data-key="{text(column.key)}">{text(cell)}</bdi>'
    return f'<data data-key="{text(column.key)}" value="{exactly(cell)}">{text(shown(cell))}</data>'
