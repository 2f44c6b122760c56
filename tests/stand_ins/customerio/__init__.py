"""A stand-in for Customer.io: its App API and its sender, as real HTTP on loopback.

Written from what Customer.io documents, and from nothing of the program that it is there to
try. ``async with customerio_stand_in(clock=…) as customerio:`` in a test; by hand
``python -m tests.stand_ins.customerio --port 9002``.
"""

from tests.stand_ins.customerio.customer_io import CustomerIo
from tests.stand_ins.customerio.sender import TEST_EVENT_ID
from tests.stand_ins.customerio.stand_in import customerio_stand_in
from tests.stand_ins.customerio.workspace import EVENTS, Webhook

__all__ = ["EVENTS", "TEST_EVENT_ID", "CustomerIo", "Webhook", "customerio_stand_in"]
