"""
Cost Guard stops Huawei Cloud ModelArts training jobs that break cost policy.

The layers, from the inside out: ``core`` (pure functions over facts), ``ports`` (the protocols of the cycle), the
adapters ``modelarts``, ``ledger``, ``pricing``, ``notify``, then ``daemon``, then ``app`` and ``cli``. An outer layer may
import an inner one, never the reverse; import-linter proves it.
"""

__version__ = "0.1.0"
