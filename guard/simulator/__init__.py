"""
A simulated ModelArts training-job service, with the real one's contradictions and failures on knobs.

It is written from the vendor's documents and checked with the vendor's SDK, and shares no code with the client that is
tested against it: nothing in here may import another package of this project.
"""

from guard.simulator.app import create_app
from guard.simulator.flavors import FLAVORS, POOL_FLAVORS, Flavor
from guard.simulator.generate import populate
from guard.simulator.jobs import SimJob, Task, render
from guard.simulator.knobs import Fault, Knobs, changed
from guard.simulator.log import CallEntry, CallLog
from guard.simulator.quirks import QUIRKS
from guard.simulator.server import RunningServer, serve
from guard.simulator.transport import LoopbackTransport
from guard.simulator.world import DEFAULT_PROJECT, Site, World

__all__ = [
    "DEFAULT_PROJECT",
    "FLAVORS",
    "POOL_FLAVORS",
    "QUIRKS",
    "CallEntry",
    "CallLog",
    "Fault",
    "Flavor",
    "Knobs",
    "LoopbackTransport",
    "RunningServer",
    "SimJob",
    "Site",
    "Task",
    "World",
    "changed",
    "create_app",
    "populate",
    "render",
    "serve",
]
