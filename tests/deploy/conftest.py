"""
The chart, rendered once for all tests of a worker.
"""

import re

import pytest
import yaml

from tests.deploy.chart_stand import rendered
from tests.deploy.places import CHART
from tests.deploy.value_sets import BAD, GOOD, on_top


@pytest.fixture(scope="session")
def answer():
    """
    Everything rendered at once.
    """
    sets = {name: on_top(values) for name, values in GOOD.items()}
    sets |= {f"bad {name}": on_top(values) for name, (values, _) in BAD.items()}
    misspelt = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dat": {}}
    (shown,) = re.findall(r"```yaml\n(# values.yaml\n.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    return rendered(CHART, {**sets, "misspelt": on_top({"extraObjects": [misspelt]}), "readme": yaml.safe_load(shown)})


@pytest.fixture
def made(answer):
    """
    Return what a set of values makes: the manifests by kind and name.
    """

    def of(name):
        found = answer["sets"][name]
        assert "error" not in found, found
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in found["manifests"]}

    return of
