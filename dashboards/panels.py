"""
The looks: a few kinds of panels with one style, each with a title, a description and its queries.

Green is well, orange wants a look, red is wrong; blue says something without judging it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as parts
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = parts.DataSourceRef(type_val="prometheus", uid="${datasource}")
Steps = Sequence[tuple[float | None, str]]
WELL: Steps = ((None, "green"),)
PLAIN: Steps = ((None, "blue"),)
NONE_IS_WELL: Steps = ((None, "green"), (1, "orange"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    How values are shown: the unit, from where on which colour, and the words for single values as (text, colour).
    """

    unit: str = "short"
    steps: Steps = PLAIN
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    decimals: int | None = None
    lowest: float | None = None
    highest: float | None = None
    empty: str = ""


Question = str | Mapping[str, str]
"""One query, or several by legend; a legend is a template such as ``{{policy}}``."""


def number(title: str, text: str, question: Question, look: Look = Look()) -> Any:
    """
    Return a panel of one large number, or of a few with their names.
    """
    panel = _dressed(stat.Panel(), title, text, look)
    _asked(panel, question, instant=True)
    named = isinstance(question, Mapping)
    panel.color_mode(kinds.BigValueColorMode.BACKGROUND if look.words else kinds.BigValueColorMode.VALUE)
    panel.text_mode(kinds.BigValueTextMode.VALUE_AND_NAME if named else kinds.BigValueTextMode.VALUE)
    return panel.graph_mode(kinds.BigValueGraphMode.NONE).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def lines(
    title: str, text: str, question: Question, look: Look = Look(), *, steps: bool = False, stacked: bool = False
) -> Any:
    """
    Return a panel of lines over time; *steps* for what jumps rather than flows, *stacked* for parts of a whole.
    """
    panel = _dressed(timeseries.Panel(), title, text, look).color_scheme(
        dashboard.FieldColor().mode(parts.FieldColorModeId.PALETTE_CLASSIC)
    )
    _asked(panel, question, instant=False)
    panel.line_width(2 if not stacked else 1).fill_opacity(35 if stacked else 8).show_points(kinds.VisibilityMode.NEVER)
    panel.line_interpolation(kinds.LineInterpolation.STEP_AFTER if steps else kinds.LineInterpolation.LINEAR)
    if stacked:
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    if len(look.steps) > 1:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    return panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull"])
    )


def bars(title: str, text: str, question: Question, look: Look = Look()) -> Any:
    """
    Return a panel of horizontal bars, one for each series, as they stand now.
    """
    panel = _dressed(bargauge.Panel(), title, text, look)
    _asked(panel, question, instant=True)
    panel.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC).show_unfilled(True)
    return panel.min(0).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def heat(title: str, text: str, query: str, *, unit: str) -> Any:
    """
    Return a heatmap of a histogram's buckets over time.
    """
    panel = _dressed(heatmap.Panel(), title, text, Look(unit=unit))
    asked = _query(query, "{{le}}", 0).range().format(PromQueryFormat.HEATMAP)
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").fill("dark-orange").steps(64)
    colours.scale(HeatmapColorScale.EXPONENTIAL).exponent(0.5).reverse(False)
    return panel.with_target(asked).calculate(False).color(colours).y_axis(heatmap.YAxisConfig().unit(unit))


def grid(title: str, text: str, columns: Mapping[str, str], by: Sequence[str], hidden: Sequence[str] = ()) -> Any:
    """
    Return a table: one row for each combination of *by*, one column for each query; labels in *hidden* are left out.
    """
    panel = _dressed(table.Panel(), title, text, Look())
    names = {}
    for index, (name, query) in enumerate(columns.items()):
        panel.with_target(_query(query, name, index).instant().format(PromQueryFormat.TABLE))
        names[f"Value #{chr(65 + index)}"] = name
    order = {name: index for index, name in enumerate((*by, *names))}
    panel.with_transformation(parts.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": dict.fromkeys(("Time", *hidden), True), "indexByName": order, "renameByName": names}
    return panel.with_transformation(parts.DataTransformerConfig(id_val="organize", options=organize))


def _dressed(panel: Any, title: str, text: str, look: Look) -> Any:
    panel.title(title).description(text).datasource(SOURCE).unit(look.unit)
    steps = [parts.Threshold(value=value, color=colour) for value, colour in look.steps]
    panel.thresholds(dashboard.ThresholdsConfig().mode(parts.ThresholdsMode.ABSOLUTE).steps(steps))
    panel.color_scheme(dashboard.FieldColor().mode(parts.FieldColorModeId.THRESHOLDS))
    if look.words:
        words = {value: parts.ValueMappingResult(text=text, color=colour) for value, (text, colour) in look.words.items()}
        panel.mappings([parts.ValueMap(options=words)])
    if look.decimals is not None:
        panel.decimals(look.decimals)
    if look.lowest is not None:
        panel.min(look.lowest)
    if look.highest is not None:
        panel.max(look.highest)
    return panel.no_value(look.empty) if look.empty else panel


def _asked(panel: Any, question: Question, *, instant: bool) -> None:
    several = question if isinstance(question, Mapping) else {"": question}
    for index, (legend, query) in enumerate(several.items()):
        asked = _query(query, legend, index)
        panel.with_target(asked.instant() if instant else asked.range())


def _query(query: str, legend: str, index: int) -> Any:
    return prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(65 + index)).datasource(SOURCE)
