"""A stand-in for Adobe Experience Platform: a real HTTP server that keeps to Adobe's documents.

It is the second opinion on the program: written from Adobe's published descriptions and pages,
and never from the program's own code, of which it imports nothing. What the documents say is
enforced; where they contradict each other or are silent, the module that decides says so.

`aep_stand_in` runs one beside a test; ``python -m tests.stand_ins.aep`` runs one for people.
"""

from tests.stand_ins.aep.adobe import Adobe, SeededInlet
from tests.stand_ins.aep.faults import Faults
from tests.stand_ins.aep.rules import Rules
from tests.stand_ins.aep.server import aep_stand_in

__all__ = ["Adobe", "Faults", "Rules", "SeededInlet", "aep_stand_in"]
