"""
The flavors on offer, as data: rows that public documents and the vendor's examples name, with their billing codes.

Where *known* is false the flavor is public but its billing code is not, and the code here is made up. Prices are no part
of this: the service's answers hold none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """
    One row of the service's flavor table; *code* None stands for a dedicated pool's flavor, which is not billed by job.
    """

    id: str
    code: str | None
    unit_num: int
    type: str
    cards: int
    product: str
    card_memory: str
    cores: int
    arch: str
    memory_gb: int
    max_num: int
    known: bool

    def detail(self) -> dict[str, Any]:
        """
        Return the ``flavor_detail`` of a job: the count of GPUs is a number, that of NPUs is text (vendor's SDK 3.1.219).
        """
        info: dict[str, Any] = {"cpu": {"arch": self.arch, "core_num": self.cores}}
        if self.type == "GPU":
            info["gpu"] = {"unit_num": self.cards, "product_name": self.product, "memory": self.card_memory}
        if self.type == "Ascend":
            info["npu"] = {"unit_num": str(self.cards), "product_name": self.product, "memory": self.card_memory}
        info["memory"] = {"size": self.memory_gb, "unit": "GB"}
        attributes = {
            "is_economic_policy_supported": "true" if self.id.endswith(".eco") else "false",
            "is_multi_devices_supported": "true" if self.cards > 1 else "false",
            "is_multi_nodes_supported": "true" if self.max_num > 1 else "false",
        }
        billing = {} if self.code is None else {"billing": {"code": self.code, "unit_num": self.unit_num}}
        return {"flavor_type": self.type, **billing, "attributes": attributes, "flavor_info": info}

    def row(self) -> dict[str, Any]:
        """
        Return the row of ``training-job-flavors`` or of a heterogeneous task's ``task_resource``.
        """
        names = {"flavor_id": self.id, "flavor_name": f"Computing {self.type}({self.product or self.arch}) instance"}
        return {**names, "max_num": self.max_num, **self.detail()}


def _row(flavor: str, code: str | None, kind: str, cards: str, size: str, *, max_num: int = 16, known: bool) -> Flavor:
    count, product, card_memory = cards.split("/")
    cores, arch, memory = size.split("/")
    unit_num = 2 if code == "modelarts.kat1.xlarge" else 1
    return Flavor(
        id=flavor,
        code=code,
        unit_num=unit_num,
        type=kind,
        cards=int(count),
        product=product,
        card_memory=card_memory,
        cores=int(cores),
        arch=arch,
        memory_gb=int(memory),
        max_num=max_num,
        known=known,
    )


_ROWS = (
    _row("modelarts.vm.p100.large.eco", "modelarts.vm.gpu.p100.eco", "GPU", "1/NVIDIA-P100/8GB", "8/x86/64", known=True),
    _row("modelarts.vm.pnt1.large.eco", "modelarts.vm.gpu.pnt1.eco", "GPU", "1/GP-Pnt1/8GB", "8/x86/64", known=True),
    _row("modelarts.p3.large.public.free", "modelarts.vm.gpu.free", "GPU", "1/GP-Vnt1/32GB", "8/x86/64", known=True),
    _row("modelarts.vm.cpu.2u", "modelarts.vm.cpu.2u", "CPU", "0//", "2/x86/8", max_num=1, known=True),
    _row("modelarts.vm.cpu.8u", "modelarts.vm.cpu.8u", "CPU", "0//", "8/x86/32", known=True),
    _row("modelarts.bm.snt9.xlarge.2", "modelarts.kat1.xlarge", "Ascend", "2/snt9/32GB", "48/arm/192", known=True),
    _row("modelarts.bm.snt9.xlarge.8", "modelarts.kat1.8xlarge", "Ascend", "8/snt9/32GB", "192/arm/768", known=True),
    _row("modelarts.p3.large.public", "modelarts.p3.large", "GPU", "1/V100/32GB", "8/x86/64", known=False),
    _row("modelarts.p3.8xlarge.public", "modelarts.p3.8xlarge", "GPU", "8/V100/32GB", "72/x86/512", known=False),
    _row("modelarts.kat1.xlarge.public", "modelarts.kat1.large", "Ascend", "1/Ascend 910/32GB", "24/arm/96", known=False),
    _row("modelarts.kat1.8xlarge.public", "modelarts.kat1.8x", "Ascend", "8/Ascend 910/32GB", "192/arm/768", known=False),
)
_POOL_ROWS = tuple(
    _row(f"modelarts.pool.visual.{size}xlarge", None, "Ascend", f"{cards}/snt9b/64GB", f"{24 * cards}/arm/96", known=True)
    for size, cards in (("", 1), ("2", 2), ("4", 4), ("8", 8))
)

FLAVORS: Mapping[str, Flavor] = {row.id: row for row in _ROWS}
POOL_FLAVORS: Mapping[str, Flavor] = {row.id: row for row in _POOL_ROWS}


def flavor_table(flavor_type: str | None) -> dict[str, Any]:
    """
    Return the answer of ``training-job-flavors``, for one type or for all.
    """
    rows = [
        {**each.row(), "pool_id": "", "support_engines": "[]", "support_groups": ""}
        for each in FLAVORS.values()
        if flavor_type is None or each.type == flavor_type
    ]
    return {"total_count": len(rows), "flavors": rows}
