"""
The dashboards in Grafana's own types: the committed JSON as a typed constant, judged by the TypeScript compiler.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from e2e_stand import needed

from dashboards.__main__ import BOARDS, FOLDER

pytestmark = pytest.mark.stack

SCHEMA = Path(__file__).with_name("schema")
OPTIONS = ["--strict", "--noEmit", "--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022"]


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """
    A folder with Grafana's types and the compiler, as locked; skipped where npm is not there or reaches no registry.
    """
    npm, folder = needed("npm"), tmp_path_factory.mktemp("schema")
    for path in SCHEMA.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    if "ENOTFOUND" in done.stderr or "ECONNREFUSED" in done.stderr:
        pytest.skip("npm reaches no registry")
    assert done.returncode == 0, done.stderr
    return folder


def compiled(folder: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    """
    Compile a board.
    """
    source = folder / f"{name}.ts"
    source.write_text(f"import type {{ Board }} from './board';\nexport const made: Board = {text};\n", encoding="utf-8")
    words = [str(folder / "node_modules/.bin/tsc"), *OPTIONS, source.name]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_what_grafana_calls_a_dashboard(compiler, name):
    """
    ``tsc --strict`` accepts the committed JSON as a dashboard.
    """
    done = compiled(compiler, name, (FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param('"description"', '"descripton"', id="misspelt-field"),
        pytest.param('"palette-classic"', '"palette-classical"', id="wrong-enum"),
        pytest.param('"legendFormat"', '"legend"', id="misspelt-query"),
        pytest.param('"editable": true', '"editable": "yes"', id="wrong-type"),
    ],
)
def test_the_compiler_refuses_what_is_wrong(compiler, right, wrong):
    """
    A misspelt field, a value that is none of an enum's, and a wrong type are each refused.
    """
    text = (FOLDER / "overview.json").read_text(encoding="utf-8")
    assert right in text
    done = compiled(compiler, "wrong", text.replace(right, wrong))
    assert done.returncode != 0
    assert "wrong.ts" in done.stdout
