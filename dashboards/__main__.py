"""
``python -m dashboards [FOLDER]`` writes the dashboards as JSON.
"""

import sys
from pathlib import Path

from dashboards.operations import operations
from dashboards.overview import overview
from dashboards.policies import policies

FOLDER = Path(__file__).resolve().parents[1] / "helm/cost-guard/dashboards"
BOARDS = {"overview": overview, "operations": operations, "policies": policies}


def main(folder: Path) -> None:
    """
    Write every board.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in BOARDS.items():
        (folder / f"{name}.json").write_text(made().text(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
