"""The collection service: takes messages at inlets, one or many at a time.

Whatever is well formed is answered as received; what becomes of it is the business of
`datasets`. The order of the checks is ours: who may reach the inlet, what was sent, who sent it,
how often, and only then the messages themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from aiohttp import web

from tests.stand_ins.aep.datasets import Datasets
from tests.stand_ins.aep.faults import Faults
from tests.stand_ins.aep.messages import Accepted, Message, read_message
from tests.stand_ins.aep.organisation import Inlet, Organisation
from tests.stand_ins.aep.pace import Pace
from tests.stand_ins.aep.problems import MessageRefusal, Refusal, inlet_problem
from tests.stand_ins.aep.tokens import Tokens, check_inlet_token

Answer = dict[str, Any]


class Collection:
    """The inlets of one organisation."""

    def __init__(
        self, organisation: Organisation, tokens: Tokens, datasets: Datasets, faults: Faults
    ) -> None:
        self._organisation = organisation
        self._tokens = tokens
        self._datasets = datasets
        self._faults = faults
        self._pace = Pace(organisation.clock, organisation.rules)
        self._requests = 0
        self.received: list[Accepted] = []

    def routes(self) -> Iterable[web.RouteDef]:
        """Return where messages are posted."""
        return [
            web.post("/collection/batch/{inlet}", self._post_batch),
            web.post("/collection/{inlet}", self._post_single),
        ]

    async def _post_single(self, request: web.Request) -> web.Response:
        inlet = self._find(request)
        is_sync = self._check_sync(request, inlet)
        document = await self._open(request, inlet)
        self._check_pace("messages", 1, self._organisation.rules.messages_per_second)
        self._stumble_over_poison([document])
        try:
            message = self._read(request, inlet, document)
        except MessageRefusal as refusal:
            raise self._refused(inlet, refusal) from None
        base = self._receipt()
        accepted = self._accept(inlet, message, 0, base)
        if is_sync:
            self._validate_now(inlet, accepted)
        self._take([accepted])
        return web.json_response(
            {
                "inletId": inlet.id,
                "xactionId": base,
                "receivedTimeMs": accepted.received_ms,
                "syncValidation": {"status": "pass"} if is_sync else {"skipped": True},
            }
        )

    async def _post_batch(self, request: web.Request) -> web.Response:
        inlet = self._find(request)
        if "syncValidation" in request.query:
            raise self._problem(inlet, 400, "syncValidation cannot be used for a batch")
        document = await self._open(request, inlet)
        documents = document.get("messages") if isinstance(document, dict) else None
        if not isinstance(documents, list) or not documents:
            raise self._problem(inlet, 400, "messages is missing, empty or not an array")
        rules = self._organisation.rules
        self._check_pace("messages", len(documents), rules.messages_per_second)
        self._stumble_over_poison(documents)
        base = self._receipt()
        answers, accepted = self._judge(request, inlet, documents, base)
        self._take(accepted)
        return web.json_response(
            {
                "inletId": inlet.id,
                "batchId": base,
                "receivedTimeMs": self._organisation.clock.now(),
                "responses": self._faults.shortened(answers),
            },
            status=207,
        )

    def _judge(
        self, request: web.Request, inlet: Inlet, documents: list[Any], base: str
    ) -> tuple[list[Answer], list[Accepted]]:
        """Judge each message of a batch; answers stand in the order of the messages."""
        answers: list[Answer] = []
        accepted: list[Accepted] = []
        for index, document in enumerate(documents):
            try:
                message = self._read(request, inlet, document)
                self._fail_message()
            except MessageRefusal as refusal:
                answers.append(self._refused_answer(inlet, refusal, index))
            else:
                accepted.append(self._accept(inlet, message, index, f"{base}:{index}"))
                answers.append({"xactionId": f"{base}:{index}"})
        return answers, accepted

    def _find(self, request: web.Request) -> Inlet:
        rules = self._organisation.rules
        if rules.allowed_addresses is not None and request.remote not in rules.allowed_addresses:
            raise Refusal(403)
        inlet_id = request.match_info["inlet"]
        inlet = self._organisation.find_inlet(inlet_id)
        if inlet is None:
            raise inlet_problem(
                404, "Inlet not found", f"inletId: [{inlet_id}] there is no such inlet"
            )
        return inlet

    def _check_sync(self, request: web.Request, inlet: Inlet) -> bool:
        wanted = request.query.get("syncValidation", "false")
        if wanted not in ("true", "false"):
            raise self._problem(inlet, 400, "syncValidation is neither true nor false")
        if wanted == "false":
            return False
        rules = self._organisation.rules
        if not rules.sync_validation_supported:
            raise self._problem(
                inlet, 501, "synchronous validation is not supported for this location"
            )
        what = f"synchronous validations of {inlet.id}"
        self._pace.count(what, 1, rules.sync_validations_per_minute, period_ms=60_000)
        return True

    async def _open(self, request: web.Request, inlet: Inlet) -> Any:  # noqa: ANN401 - any JSON
        """Check the request as a whole and return its body as JSON."""
        body = await self._read_body(request, inlet)
        self._check_media(request, inlet)
        if inlet.authenticated:
            self._check_sender(request, inlet)
        self._check_pace("requests", 1, self._organisation.rules.requests_per_second)
        self._requests += 1
        try:
            return json.loads(body.decode(), parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            reason = f"the body is not JSON: {type(error).__name__}"
            raise self._problem(inlet, 400, reason) from None

    def _check_media(self, request: web.Request, inlet: Inlet) -> None:
        if request.content_type != "application/json":
            raise self._problem(
                inlet, 415, f"Content-Type is [{request.content_type}], not application/json"
            )
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise self._problem(inlet, 415, "a Content-Encoding is not documented")

    async def _read_body(self, request: web.Request, inlet: Inlet) -> bytes:
        """Read to the end before complaining, so that a sender gets to see the answer."""
        limit = self._organisation.rules.request_bytes_max
        body = await request.read()
        if len(body) > limit:
            raise self._problem(
                inlet, 413, f"the payload has {len(body)} bytes; {limit} are the limit"
            )
        return body

    def _check_sender(self, request: web.Request, inlet: Inlet) -> None:
        if self._faults.expires_tokens():
            self._tokens.expire()
        rules = self._organisation.rules
        check_inlet_token(self._tokens, rules, request.headers.get("Authorization"))
        sandbox = request.headers.get("x-sandbox-name")
        if sandbox is None and rules.sandbox_required:
            raise self._problem(inlet, 400, "the header x-sandbox-name is missing")
        if sandbox not in (None, self._organisation.sandbox):
            raise self._problem(inlet, 403, f"the inlet does not belong to the sandbox [{sandbox}]")

    def _check_pace(self, what: str, count: int, limit: int) -> None:
        self._pace.count(what, count, limit, period_ms=1000)

    def _read(self, request: web.Request, inlet: Inlet, document: object) -> Message:
        flow_id = request.headers.get("x-adobe-flow-id") or request.query.get("x-adobe-flow-id")
        return read_message(self._organisation, inlet, document, flow_id)

    def _fail_message(self) -> None:
        status = self._faults.for_message()
        if status:
            raise MessageRefusal(status, f"refused with {status} on order")

    def _stumble_over_poison(self, documents: list[Any]) -> None:
        entities = [_entity(document) for document in documents if isinstance(document, dict)]
        if self._faults.is_poisoned(entities):
            raise inlet_problem(
                self._faults.poison_status,
                "Internal error",
                "Error in processing payload: a message stumbled over on order",
            )

    def _receipt(self) -> str:
        return f"{self._organisation.clock.now()}:{self._requests}:{len(self.received)}"

    def _accept(self, inlet: Inlet, message: Message, index: int, xaction_id: str) -> Accepted:
        return Accepted(
            request=self._requests,
            index=index,
            inlet_id=inlet.id,
            flow_id=message.route.flow_id,
            dataset_id=message.route.dataset_id,
            schema_id=message.route.schema_id,
            raw=message.raw,
            entity=message.entity,
            header=message.header,
            xaction_id=xaction_id,
            received_ms=self._organisation.clock.now(),
        )

    def _take(self, messages: list[Accepted]) -> None:
        self.received += messages
        for message in messages:
            self._datasets.take(message)

    def _validate_now(self, inlet: Inlet, message: Accepted) -> None:
        violations = [violation.record() for violation in self._datasets.judge(message)]
        if violations:
            raise self._problem(inlet, 400, "Message is invalid", violations)

    def _problem(
        self, inlet: Inlet, status: int, reason: str, violations: Iterable[Answer] = ()
    ) -> Refusal:
        title = "Invalid XDM Message Format" if status == 400 else "Request refused"
        message = self._worded(inlet, reason)
        return inlet_problem(status, title, message, violations=list(violations))

    def _refused(self, inlet: Inlet, refusal: MessageRefusal) -> Refusal:
        return inlet_problem(refusal.status, refusal.title, self._worded(inlet, refusal.reason))

    def _refused_answer(self, inlet: Inlet, refusal: MessageRefusal, index: int) -> Answer:
        """Return a refused message's entry of a 207, in one of the shapes that are documented."""
        message = self._worded(inlet, refusal.reason)
        match self._faults.shape():
            case "status":
                return {"status": refusal.status, "message": message}
            case "status_with_id":
                identifier = f"{self._organisation.names.uuid()}-{index}"
                return {"status": refusal.status, "xactionId": identifier, "message": message}
            case "text_status":
                return {"status": str(refusal.status), "message": message}
            case _:
                return {"statusCode": refusal.status, "message": message}

    def _worded(self, inlet: Inlet, reason: str) -> str:
        return f"inletId: [{inlet.id}] imsOrgId: [{self._organisation.org_id}] {reason}"


def _entity(document: dict[str, Any]) -> dict[str, Any]:
    body = document.get("body")
    entity = body.get("xdmEntity") if isinstance(body, dict) else None
    return entity if isinstance(entity, dict) else document


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
