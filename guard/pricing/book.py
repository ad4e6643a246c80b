"""
The operator's price book, a YAML file::

    currency: CNY
    prices:                            # per billing unit and hour
      modelarts.vm.gpu.p100.eco: 3.5
    pool_price_per_hour: 0             # what a job in a dedicated pool counts for; left out: nothing
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path

import yaml

from guard.core.price import PriceBook
from guard.errors import BadInput

KEYS = ("currency", "prices", "pool_price_per_hour")


def read_book(path: Path) -> PriceBook:
    """
    Read a price book; prices are taken exactly as written. Raises ``BadInput`` with file and line.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadInput(f"{path}: the price book cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: the price book is not UTF-8 (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadInput(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path}: not YAML: {str(error)[:200]}") from error
    top = _mapping(path, root, "a mapping with currency and prices")
    for key, value in top.items():
        if key not in KEYS:
            raise BadInput(f"{_at(path, value)}: there is no key {key!r}; expected {', '.join(KEYS)}")
    currency = top.get("currency")
    if not isinstance(currency, yaml.ScalarNode) or not (currency.value.isalpha() and currency.value.isupper()):
        raise BadInput(f"{_at(path, currency)}: currency: expected a code in capitals such as CNY or USD")
    prices = _mapping(path, top.get("prices"), "prices: a mapping of billing code to price per unit and hour")
    pool = top.get("pool_price_per_hour")
    return PriceBook(
        currency=currency.value,
        prices={code: _price(path, code, node) for code, node in prices.items()},
        pool_rate=Fraction(0) if pool is None else _price(path, "pool_price_per_hour", pool),
    )


def _mapping(path: Path, node: yaml.Node | None, wanted: str) -> Mapping[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise BadInput(f"{_at(path, node)}: expected {wanted}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadInput(f"{_at(path, key)}: expected a plain key")
        if key.value in found:
            raise BadInput(f"{_at(path, key)}: {key.value!r} stands here a second time")
        found[key.value] = value
    return found


def _price(path: Path, name: str, node: yaml.Node) -> Fraction:
    wanted = f"{_at(path, node)}: {name}: expected a price of 0 or more such as 3.5"
    if not isinstance(node, yaml.ScalarNode):
        raise BadInput(wanted)
    try:
        price = Decimal(node.value)
    except InvalidOperation as error:
        raise BadInput(f"{wanted}, got {node.value[:200]!r}") from error
    if not price.is_finite() or price < 0 or abs(price.adjusted()) > 20:
        raise BadInput(f"{wanted}, got {node.value[:200]!r}")
    return Fraction(price)


def _at(path: Path, node: yaml.Node | None) -> str:
    return f"{path}:{node.start_mark.line + 1}" if node is not None else f"{path}:1"
