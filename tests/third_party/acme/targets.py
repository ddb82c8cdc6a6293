from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from collectors.contract import Run, Settings, Target, Unreachable
from collectors.errors import AccessDenied, Unavailable


class AcmeSettings(Settings):
    """`trouble` is by building or evidence type; the revision and the controls are each building's."""

    buildings: tuple[str, ...] = ("north",)
    trouble: dict[str, str] = Field(default_factory=dict)
    revision: str | None = None
    controls: list[str] | None = None
    stops_before: int | None = None


class Building(Target):
    closed: ClassVar[list[str]] = []
    counted: ClassVar[list[int]] = []

    def __init__(self, run: Run, name: str, settings: AcmeSettings) -> None:
        super().__init__(run)
        self.id = name
        self.description = {"building": name}
        self.revision = settings.revision
        self.controls = None if settings.controls is None else tuple(settings.controls)
        self.trouble = settings.trouble
        self.stops_before = settings.stops_before

    def identity(self) -> str:
        if self.trouble.get("identity") == "denied":
            raise AccessDenied("nobody knows you")
        if self.trouble.get("identity") == "broken":
            raise NotImplementedError
        return "guard:7"

    def close(self) -> None:
        super().close()
        self.closed.append(self.id)


def connect(settings: AcmeSettings, run: Run) -> Iterator[Target | Unreachable]:
    for name in settings.buildings:
        match settings.trouble.get(name):
            case "unreachable":
                cause = AccessDenied("the gate is shut", operation="acme:Enter", permission="acme:Enter")
                yield Unreachable(Building, name, {"building": name}, cause)
            case "listing":
                raise Unavailable("the list of buildings ends here", operation="acme:ListBuildings")
            case _:
                yield Building(run, name, settings)
