"""
A board: panels set into the grid from left to right, with the variables, marks and links that all boards share.
"""

import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as parts

from dashboards.panels import SOURCE
from dashboards.queries import BOTH, GUARD

WIDTH = 24
TAG = "cost-guard"


class Mark(parts.AnnotationQuery):
    """
    An annotation by a Prometheus query, with the fields that only Prometheus annotations have.
    """

    def __init__(self, name: str, query: str, *, colour: str, title: str, text: str, tags: str, value_is_time: bool) -> None:
        super().__init__(name=name, datasource=SOURCE, enable=True, icon_color=colour, expr=query, built_in=None, hide=None)
        self.more = {"titleFormat": title, "textFormat": text, "tagKeys": tags, "step": "60s"}
        if value_is_time:
            self.more["useValueForTime"] = "on"

    def to_json(self) -> dict[str, object]:
        """
        Return the annotation as Grafana keeps it.
        """
        return {**super().to_json(), **self.more}


TERMINATIONS = Mark(
    "Terminations",
    f'sum by (target, policy) (increase(costguard_terminations_total{{outcome="confirmed",{BOTH}}}[1m])) > 0',
    colour="red",
    title="Terminated",
    text="by {{policy}} in {{target}}",
    tags="policy,target",
    value_is_time=False,
)
RELOADS = Mark(
    "Reloads",
    f"costguard_config_last_reload_success_timestamp_seconds{{{GUARD}}} * 1000",
    colour="blue",
    title="Policies taken",
    text="by {{job}} ({{instance}})",
    tags="job",
    value_is_time=True,
)


class Board:
    """
    A dashboard in the making; ``add`` and ``section`` fill it, ``text`` is its JSON.
    """

    def __init__(self, uid: str, title: str, description: str, *, since: str) -> None:
        self._dashboard = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).editable()
        self._dashboard.time(since, "now").refresh("30s").timezone("browser").tooltip(parts.DashboardCursorSync.CROSSHAIR)
        self._number = self._x = self._y = self._height = 0
        for variable in _variables():
            self._dashboard.with_variable(variable)
        others = dashboard.DashboardLink("Cost Guard").type(parts.DashboardLinkType.DASHBOARDS).tags([TAG])
        self._dashboard.link(others.as_dropdown(False).include_vars(True).keep_time(True))

    def section(self, title: str) -> None:
        """
        Begin a new row with a heading.
        """
        self._break()
        place = parts.GridPos(x=0, y=self._y, w=WIDTH, h=1)
        self._dashboard.with_row(dashboard.Row(title).id(self._next()).grid_pos(place))
        self._y += 1

    def add(self, *panels: Any, height: int = 8) -> None:
        """
        Set panels of equal width side by side, over the whole width.
        """
        self._break()
        wide, rest = divmod(WIDTH, len(panels))
        for index, panel in enumerate(panels):
            width = wide + (index < rest)
            place = parts.GridPos(x=self._x, y=self._y, w=width, h=height)
            self._dashboard.with_panel(panel.id(self._next()).grid_pos(place))
            self._x += width
        self._height = height

    def text(self) -> str:
        """
        Return the dashboard as it is committed.
        """
        built = self._dashboard.build()
        for variable in built.templating.list_val or ():
            # The library gives every variable what only an interval has, and Grafana's own types refuse that.
            variable.auto = variable.auto_min = variable.auto_count = None
        built.annotations = parts.AnnotationContainer(list_val=[TERMINATIONS, RELOADS])
        return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def _break(self) -> None:
        self._y, self._x, self._height = self._y + self._height, 0, 0

    def _next(self) -> int:
        self._number += 1
        return self._number


def _variables() -> list[Any]:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [
        source,
        _choice("job", "Guard", "label_values(costguard_build_info, job)"),
        _choice("target", "Target", f"label_values(costguard_leader{{{GUARD}}}, target)"),
        _choice("policy", "Policy", f"label_values(costguard_policy_info{{{GUARD}}}, policy)"),
    ]


def _choice(name: str, label: str, query: str) -> Any:
    everything = parts.VariableOption(selected=True, text="All", value="$__all")
    one = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query({"query": query, "refId": name})
    one.multi(True).include_all(True).all_value(".*").current(everything)
    return one.refresh(parts.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(parts.VariableSort.ALPHABETICAL_ASC)
