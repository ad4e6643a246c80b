"""
The stem of a name: what a person who submits the same work again does not change.
"""

import pytest

from guard.core.names import name_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        pytest.param("resnet", "resnet", id="nothing-to-take"),
        pytest.param("resnet-50", "resnet", id="a-number-of-its-own"),
        pytest.param("resnet50", "resnet", id="a-number-at-a-word"),
        pytest.param("resnet-v2", "resnet-v", id="a-version"),
        pytest.param("resnet-50-v2", "resnet-50-v", id="only-what-trails"),
        pytest.param("resnet_001_002", "resnet", id="two-numbers"),
        pytest.param("resnet (3)", "resnet", id="a-copy-by-the-browser"),
        pytest.param("resnet-", "resnet", id="a-separator-is-no-part"),
        pytest.param("resnet-20261127", "resnet", id="a-date"),
        pytest.param("resnet-2026-11-27", "resnet", id="a-date-with-hyphens"),
        pytest.param("resnet-2026-11-27T12:30:59Z", "resnet", id="a-timestamp"),
        pytest.param("resnet-20261127T123059Z", "resnet", id="a-compact-timestamp"),
        pytest.param("resnet-27nov2026", "resnet", id="a-date-in-words"),
        pytest.param("resnet-nov27", "resnet", id="a-month-and-a-day"),
        pytest.param("resnet-27-November-2026", "resnet", id="a-date-of-three-parts"),
        pytest.param("resnet-march", "resnet-march", id="a-month-alone-is-a-word"),
        pytest.param("resnet-decoder2", "resnet-decoder", id="a-word-that-begins-like-a-month"),
        pytest.param("march-2", "march", id="a-month-first-is-a-word"),
        pytest.param("resnet-3f9a2c", "resnet", id="a-short-hash"),
        pytest.param("resnet-3F9A2C11", "resnet", id="a-hash-in-capitals"),
        pytest.param("resnet-deadbeef", "resnet", id="a-hash-of-letters"),
        pytest.param("paint-facade", "paint-facade", id="a-word-of-hexadecimal-letters"),
        pytest.param("resnet-a100", "resnet-a", id="a-card-is-no-hash"),
        pytest.param("resnet-0b5e8a0e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", "resnet", id="a-uuid"),
        pytest.param("resnet-0b5e8a0e_1c2d_4e5f_8a9b_0c1d2e3f4a5b-7", "resnet", id="a-uuid-and-a-number"),
        pytest.param("resnet-0b5e8a0e1c2d4e5f8a9b0c1d2e3f4a5b", "resnet", id="a-uuid-without-hyphens"),
        pytest.param("x0b5e8a0e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", "x0b5e8a0e-1c2d-4e5f-8a9b", id="no-uuid-inside-of-a-word"),
        pytest.param("0b5e8a0e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", "0b5e8a0e-1c2d-4e5f-8a9b-0c1d2e3f4a5b", id="only-a-uuid"),
        pytest.param("20261127-1", "20261127-1", id="nothing-but-numbers"),
        pytest.param("", "", id="empty"),
        pytest.param("---", "---", id="nothing-but-separators"),
        pytest.param("训练任务-12", "训练任务", id="chinese"),
        pytest.param('"><script>1', '"><script', id="hostile"),
    ],
)
def test_stem(name, stem):
    """
    What trails is taken off, and nothing that comes before.
    """
    assert name_stem(name) == stem


@pytest.mark.parametrize("part", ["1-", "1a", "a1", "deadbeef-", "-", "nov-1-", "0b5e8a0e-1c2d-"])
def test_a_long_name_costs_little(part):
    """
    A name of a hundred thousand characters is done in a moment; a quadratic way through it would take minutes.
    """
    assert name_stem("x" + part * (100_000 // len(part))).startswith("x")
