"""AWS's models of its services, cut down to what is read: what is not declared cannot even be called."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from collectors import registry
from collectors.aws.permissions import ENTERING, SIMULATION, action

Model = dict[str, Any]

_SERVICE_MODEL = "service-2"
_ADDITIONS = "service-2.sdk-extras"  # to operations that write
_CREDENTIALS = frozenset({"signin", "sso", "sso-oidc", "sts"})  # where botocore itself asks for them


def loader() -> Any:
    """A botocore loader whose models of services have only the operations that evidence types declare.

    Whole, the models of all services that evidence is read from take 80 MB: most of a run's memory.
    """
    from botocore.loaders import JSONFileLoader, Loader

    declared = {permission for kind in registry.evidence_types("aws") for permission in kind.permissions}
    declared.update(ENTERING, (SIMULATION,))

    def is_wanted(operation: str) -> bool:
        return operation.partition(":")[0] in _CREDENTIALS or action(operation) in declared

    class Files(JSONFileLoader):  # type: ignore[misc]
        def load_file(self, file_path: str) -> Any:
            path = Path(file_path)
            model = _read(path)
            if path.name == _SERVICE_MODEL:
                _cut_down(model, path.parts[-3], is_wanted)
            return {} if path.name == _ADDITIONS else model

    return Loader(file_loader=Files())


def _read(path: Path) -> Any:
    """The JSON at a path that its suffix is missing from; None where there is none."""
    packed = path.with_name(f"{path.name}.json.gz")
    if packed.is_file():
        return json.loads(gzip.decompress(packed.read_bytes()))
    plain = path.with_name(f"{path.name}.json")
    return json.loads(plain.read_bytes()) if plain.is_file() else None


def _cut_down(model: Model, service: str, is_wanted: Callable[[str], bool]) -> None:
    """Leaves the wanted operations, the shapes that they are made of, and all errors, which have codes of their own."""
    model["operations"] = {
        name: operation for name, operation in model["operations"].items() if is_wanted(f"{service}:{name}")
    }
    shapes, wanted = model["shapes"], {}
    open_names = [name for name, shape in shapes.items() if shape.get("exception")]
    for operation in model["operations"].values():
        open_names += _shapes_of_operation(operation)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted[name] = shapes[name]
            open_names += _shapes_of(shapes[name])
    model["shapes"] = wanted


def _shapes_of_operation(operation: Model) -> Iterator[str]:
    for part in (operation.get("input"), operation.get("output"), *operation.get("errors", ())):
        if part:
            yield part["shape"]


def _shapes_of(shape: Model) -> Iterator[str]:
    for part in (*shape.get("members", {}).values(), shape.get("member"), shape.get("key"), shape.get("value")):
        if part:
            yield part["shape"]
