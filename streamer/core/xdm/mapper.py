"""Makes an XDM entity of an event: the mapping as one pure function.

The rules are data: the built-in ones, and those of mapping files layered over
them. They are made ready once for each type of event, as a plan, and a plan is
applied to each event of its type. The same event and the same settings give the
same bytes, so a repeat after a crash carries the same id and Adobe drops it.

Nothing here raises because of an event. An event of which no valid entity can
be made is `Unmappable`, which says by which rule and never with what value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from streamer.core.errors import ConfigurationError
from streamer.core.event import StoredEvent, has_usable_time
from streamer.core.mapping_limits import MAPPING_PLANS_MAX
from streamer.core.selection import Selection
from streamer.core.times import rfc3339, rfc3339_seconds
from streamer.core.xdm import builtin, consent
from streamer.core.xdm.fields import Field, field_groups, fields_of, way_out
from streamer.core.xdm.identities import Identities, Source, identity_map
from streamer.core.xdm.kinds import fit_text
from streamer.core.xdm.language.expression import Evaluate, compile_expression
from streamer.core.xdm.mapping_file import Layer
from streamer.core.xdm.plan import Node, Step, Unfit, draft_of, required_names, step
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.shedding import shed_to_fit
from streamer.core.xdm.tenant_group import require_extra_fields

INTEGER_DIGITS_MAX = 4_300
"""Python refuses to read an integer of more."""


class Mapped(msgspec.Struct, frozen=True):
    """What is sent for one event."""

    entity: bytes
    """The JSON of the ``xdmEntity``, of at most ``entity_bytes_max`` bytes."""
    shed: tuple[str, ...]
    """What was left out or shortened so that it fits, in the order in which it went."""
    time_replaced: bool
    """True: the event's own time could not be used, and the time of its receipt stands for it."""


class Unmappable(msgspec.Struct, frozen=True):
    """Why no valid entity can be made of an event."""

    path: str
    """Where in the entity; empty when it is about the whole."""
    rule: str
    """The rule, or the setting, that an operator may want to change."""
    detail: str
    """A sentence without any of the event's content."""


class _Plan(msgspec.Struct, frozen=True):
    node: Node
    identities: tuple[Source, ...]
    says_something: bool


class Mapper:
    """One destination's mapping, made ready once."""

    def __init__(self, settings: MappingSettings, layers: Sequence[Layer] = ()) -> None:
        """Put the rules together.

        Raises:
            ConfigurationError: a rule writes to a path that is not in the schema, a user's own
                field cannot be, or the source of an identity means nothing.
        """
        self._settings = settings
        extra = {path: kind for layer in layers for path, kind in layer.fields.items()}
        require_extra_fields(extra)
        self._fields = fields_of(field_groups(settings), extra)
        if settings.produces == "consent":
            self._fields |= consent.subscription_fields(settings.topics)
        self._required = required_names(self._fields.values(), settings.tenant)
        self._identities = Identities(settings.identities)
        self.rules = self._all_rules(layers)
        """Every rule that is applied; of two that give a value, the later wins."""
        self._steps = self._all_steps()
        self._plan_of = lru_cache(MAPPING_PLANS_MAX)(self._make_plan)

    def map(self, event: StoredEvent, body: bytes) -> Mapped | Unmappable | None:
        """Make the entity of an event.

        Args:
            event: the event as it was received.
            body: its body after the destination's privacy rules.

        Returns:
            The entity; or why there can be none; or None, if this kind of entity has nothing to
            say of this event. Never raises.
        """
        plan = self._plan_of(event.object_type, event.metric)
        if not plan.says_something:
            return None
        document = _document(body)
        if document is None:
            return Unmappable("", "", "the event's body cannot be read")
        try:
            return self._mapped(event, plan, document, body)
        except Unfit as unfit:
            return Unmappable(unfit.path, unfit.rule, unfit.detail)

    def scope_of(self, event: StoredEvent, body: bytes) -> dict[str, Any] | None:
        """Return what the rules are evaluated on; None if the body cannot be read."""
        document = _document(body)
        if document is not None:
            self._complete(document, event)
        return document

    def field_of(self, rule: Rule) -> Field:
        """Return the field that a rule of this mapping writes to."""
        return self._fields[rule.destination]

    def _mapped(
        self, event: StoredEvent, plan: _Plan, document: dict[str, Any], body: bytes
    ) -> Mapped | Unmappable | None:
        settings = self._settings
        replaced = self._complete(document, event)
        entity = plan.node.build(document)
        if settings.keep_raw and settings.produces == "events":
            self._keep_raw(entity, body)
        if settings.produces == "consent" and not consent.says_something(entity):
            return None
        identities = identity_map(plan.identities, document)
        if identities:
            entity["identityMap"] = identities
        elif settings.require_identity:
            return Unmappable("identityMap", "identities", "the event names nobody")
        elif settings.produces == "consent":
            return None
        encoded = _encode(entity)
        if len(encoded) <= settings.entity_bytes_max:
            return Mapped(encoded, (), replaced)
        encoded, shed = shed_to_fit(encoded, settings)
        return Mapped(encoded, shed, replaced)

    def _keep_raw(self, entity: dict[str, Any], body: bytes) -> None:
        own = entity.get(f"_{self._settings.tenant}", {}).get("customerio")
        if own is not None:
            own["raw"] = body.decode("utf-8", "replace")

    def _complete(self, scope: dict[str, Any], event: StoredEvent) -> bool:
        """Add what we know of the event; say whether its own time was replaced."""
        received_at = rfc3339(event.received_at)
        ours: dict[str, Any] = {
            "position": event.position,
            "source": event.source,
            "received_at": received_at,
            "type": event.type_name,
            "tenant": self._settings.tenant,
            "event_id": event.event_id,
        }
        occurred_at = event.occurred_at
        usable = has_usable_time(occurred_at, event.received_at)
        if usable:
            ours["time"] = rfc3339_seconds(occurred_at)
        else:
            ours["time"] = received_at
            ours["sent_time"] = (
                fit_text(scope.get("timestamp"))
                if occurred_at is None
                else rfc3339_seconds(occurred_at)
            )
        scope["streamer"] = ours
        return not usable

    def _all_rules(self, layers: Sequence[Layer]) -> tuple[Rule, ...]:
        removed = {path for layer in layers for path in layer.remove}
        of_this_kind = consent if self._settings.produces == "consent" else builtin
        built_in = [
            rule
            for rule in of_this_kind.rules(self._settings)
            if rule.destination in self._fields and not _is_removed(rule.destination, removed)
        ]
        return (*built_in, *(rule for layer in layers for rule in layer.rules))

    def _all_steps(self) -> tuple[tuple[Step, Selection], ...]:
        selections = {
            types: Selection(include=types, exclude=())
            for types in {rule.types for rule in self.rules}
        }
        self._require_paths_of_the_schema()
        return tuple((self._step(rule), selections[rule.types]) for rule in self.rules)

    def _require_paths_of_the_schema(self) -> None:
        """Name every rule that writes to a path which this destination's schema lacks."""
        told = {
            f"{rule.origin} writes to {rule.destination}, which is not in the schema": way_out(
                rule.destination, self._fields, produces=self._settings.produces
            )
            for rule in self.rules
            if rule.destination not in self._fields
        }
        if len(told) > 1:
            raise ConfigurationError("\n".join(f"{what}: {hint}" for what, hint in told.items()))
        for what, hint in told.items():
            raise ConfigurationError(what, hint=hint)

    def _step(self, rule: Rule) -> Step:
        field = self._fields[rule.destination]
        return step(rule, field, _compiled(rule.source), self._settings.tenant)

    def _make_plan(self, object_type: str | None, metric: str | None) -> _Plan:
        steps = [made for made, types in self._steps if types.matches(object_type, metric)]
        return _Plan(
            node=Node(draft_of(steps), self._required),
            identities=self._identities.of_type(object_type, metric),
            says_something=self._settings.produces == "events"
            or consent.may_say(made.path for made in steps),
        )


def _is_removed(path: str, removed: set[str]) -> bool:
    """Say whether a path, or an object that it is in, was removed."""
    return any(path == other or path.startswith(f"{other}.") for other in removed)


@lru_cache(2_000)
def _compiled(source: str) -> Evaluate:
    """Compile a source; most of the built-in ones are the same for each destination."""
    return compile_expression(source)


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def _document(body: bytes) -> dict[str, Any] | None:
    """Read a body; None if it is no JSON object."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _document_leniently(body)


def _document_leniently(body: bytes) -> dict[str, Any] | None:
    """Read what msgspec will not, without what no entity can hold: half characters, huge numbers.

    What was let into the outbox has been read in this way before.
    """
    try:
        found = json.loads(
            body.decode("utf-8", "replace"),
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=lambda _: None,
        )
        return _decode(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
