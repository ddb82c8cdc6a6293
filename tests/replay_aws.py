"""AWS from written answers, by botocore's own door: the `before-call` event, which may answer for the network."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from collectors.aws import models
from collectors.aws.connection import Connection
from collectors.aws.settings import Settings
from collectors.contract import Run, Target, Unreachable


@contextlib.contextmanager
def replay(
    answers: list[dict[str, Any]], settings: dict[str, Any], run: Run
) -> Iterator[Iterator[Target | Unreachable]]:
    """The places that `settings` name, where every call is answered from `answers`, the same call in their order.

    An answer may name its `region`; without one it answers any region's call. Raises AssertionError for a call that
    none answers, for an answer that AWS's own model of the operation does not allow, and for answers left over.
    """
    written = Answers(answers)
    yield Connection(Settings.model_validate(settings), run, written.enter).places()
    assert not written.left, f"never asked for: {[_title(answer) for answer in written.left]}"


class Answers:
    """The answers not given yet, and the event handlers that give them."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.left = list(answers)
        self._lock = threading.Lock()

    def enter(self, session: Any) -> None:
        session.set_credentials("replayed", "replayed")
        session.register_component("data_loader", loader())
        session.register("before-parameter-build", self._remember)
        session.register("before-call", self._answer)

    def _remember(self, params: dict[str, Any], context: dict[str, Any], **_event: Any) -> None:
        context["asked"] = json.loads(json.dumps(params, default=str))

    def _answer(self, model: Any, context: dict[str, Any], **_event: Any) -> tuple[Any, dict[str, Any]]:
        asked = {
            "call": f"{model.service_model.service_name}:{model.name}",
            "parameters": context["asked"],
            "region": context["client_region"],
        }
        return _response(model, self._take(asked))

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            for answer in self.left:
                if asked == {"region": asked["region"], "parameters": {}, **_key(answer)}:
                    self.left.remove(answer)
                    return answer
        raise AssertionError(f"no answer to {_title(asked)} in {asked['region']}")


@cache
def loader() -> Any:
    """One for all replays: reading the services' models is most of what a replay costs."""
    return models.loader()


class Response:
    """As much of an HTTP response as botocore's clients look at; `raw` is None where there is nothing to parse."""

    raw = None

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code
        self.headers: dict[str, str] = {}


def _key(answer: dict[str, Any]) -> dict[str, Any]:
    return {part: answer[part] for part in ("call", "parameters", "region") if part in answer}


def _title(call: dict[str, Any]) -> str:
    return f"{call['call']} {json.dumps(call.get('parameters', {}), sort_keys=True)}"


def _response(model: Any, answer: dict[str, Any]) -> tuple[Response, dict[str, Any]]:
    if "error" in answer:
        error = answer["error"]
        status = error["status"]
        return Response(status), {
            "Error": {"Code": error["code"], "Message": error["message"]},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
    parsed = _shaped(model.output_shape, answer["answer"], answer["call"])
    return Response(200), {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200}}


def _shaped(shape: Any, value: Any, where: str) -> Any:
    """A JSON value as botocore would parse it from the wire, held to AWS's own model of the answer."""
    match shape.type_name:
        case "structure":
            unknown = value.keys() - shape.members.keys()
            assert not unknown, f"{where}: AWS's answer has no {sorted(unknown)}"
            return {key: _shaped(shape.members[key], item, f"{where}.{key}") for key, item in value.items()}
        case "list":
            return [_shaped(shape.member, item, where) for item in value]
        case "map":
            return {key: _shaped(shape.value, item, f"{where}.{key}") for key, item in value.items()}
        case "timestamp":
            return datetime.fromisoformat(value)
        case "blob":
            return value.encode()
    kinds = {"boolean": bool, "integer": int, "long": int, "float": (int, float), "double": (int, float)}
    assert isinstance(value, kinds.get(shape.type_name, str)), f"{where}: {value!r} is no {shape.type_name}"
    return value
