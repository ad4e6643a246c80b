"""
The client of ModelArts training jobs: signing, credentials, wire shapes, paging and errors.

It knows no policies, reads no environment and writes no logs; what the daemon needs of it are the ports ``JobSource`` and
``Terminator``. Nothing in here but ``terminator`` can change a job.
"""

from guard.modelarts.chain import Place, find_credentials
from guard.modelarts.client import ModelArtsClient, Target
from guard.modelarts.credentials import Credentials
from guard.modelarts.endpoints import LOOPBACK, REGIONS, endpoint
from guard.modelarts.exchange import Exchange, Observer, http_client
from guard.modelarts.network import certificates_of, proxy_of
from guard.modelarts.pace import Pace
from guard.modelarts.service import Patience, Service
from guard.modelarts.terminator import ModelArtsTerminator
from guard.modelarts.workspaces import Workspace

__all__ = [
    "LOOPBACK",
    "REGIONS",
    "Credentials",
    "Exchange",
    "ModelArtsClient",
    "ModelArtsTerminator",
    "Observer",
    "Pace",
    "Patience",
    "Place",
    "Service",
    "Target",
    "Workspace",
    "certificates_of",
    "endpoint",
    "find_credentials",
    "http_client",
    "proxy_of",
]
