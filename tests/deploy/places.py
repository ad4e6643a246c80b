"""
Where chart, image and tools lie.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "cost-guard"
