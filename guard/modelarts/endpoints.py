"""
Where the services of a region answer.

The regions are those of the vendor's SDK 3.1.219 (``modelarts_region.py``). For ap-southeast-1 the SDK names the domain
myhuaweicloud.cn and the vendor's Terraform provider myhuaweicloud.com; the latter is used. Every endpoint can be given
instead, as for the European cloud (myhuaweicloud.eu) and private ones.
"""

import difflib

import httpx

from guard.errors import BadInput
from guard.modelarts.network import has_port

REGIONS = (
    *("cn-north-1", "cn-north-2", "cn-north-4", "cn-north-9", "cn-north-11", "cn-north-12"),
    *("cn-south-1", "cn-east-3", "cn-east-4", "cn-southwest-2", "cn-southwest-3"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
    *("la-south-2", "la-north-2", "sa-brazil-1", "af-south-1", "af-north-1", "tr-west-1", "me-east-1"),
)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def endpoint(region: str, override: str | None = None) -> str:
    """
    Return the base URL of ModelArts in *region*, or *override*; an unknown region without one is ``BadInput``.
    """
    return _base("modelarts", region, override)


def iam_endpoint(region: str, override: str | None = None) -> str:
    """
    Return the base URL of IAM in *region*, or *override*.
    """
    return _base("iam", region, override)


def _base(service: str, region: str, override: str | None) -> str:
    if override is not None:
        return _checked(override)
    if region not in REGIONS:
        nearest = difflib.get_close_matches(region, REGIONS, n=3, cutoff=0.5) or REGIONS
        raise BadInput(f"unknown region {region[:60]!r}; did you mean {', '.join(nearest)}? Any other needs an endpoint")
    return f"https://{service}.{region}.myhuaweicloud.com"


def _checked(override: str) -> str:
    try:
        url = httpx.URL(override)
    except httpx.InvalidURL:
        url = httpx.URL("")
    # Of the text too: what stands behind "#" would swallow every path, and ".." is gone from what was read.
    more = url.userinfo or url.path not in ("", "/") or override.rstrip("/").count("/") > 2 or set(override) & set("?#@ ")
    # Answers are not signed: on a network, whoever stands between could show a job that breaks a policy.
    spoken = url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)
    if not spoken or not url.host or not has_port(url) or more:
        raise BadInput("an endpoint is https:// (or http:// on loopback), a host and perhaps a port, nothing else")
    return override.rstrip("/")
