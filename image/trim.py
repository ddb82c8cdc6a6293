"""Takes out of the image's environment what the agent cannot reach. Run by that environment, before it is copied.

    botocore       models of services that no evidence type reads, of earlier versions, and their examples
    okta           the typed client and its models: requests are made with the executor alone
    zstandard      what other interpreters than CPython would load
    pycryptodomex  its tests of itself

Nothing is listed here that the code knows already: what is read is asked of the loader, and what is imported of Python.
"""

import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Deletes it, and tells how much it was."""
    for name, unused in (
        ("botocore", unread_models()),
        ("okta", unused_client()),
        ("zstandard", other_backends()),
        ("pycryptodomex", self_tests()),
    ):
        print(f"{name}: {sum(map(delete, unused)) / 1e6:.1f} MB less")


def unread_models() -> Iterator[Path]:
    """What botocore knows of services beyond the operations that a loader of the agent's has."""
    from collectors.aws.models import loader

    models = loader()
    for folder in [folder for folder in (home("botocore") / "data").iterdir() if folder.is_dir()]:
        latest = models.determine_latest_version(folder.name, "service-2")
        if models.load_service_model(folder.name, "service-2", latest)["operations"]:
            yield from [version for version in folder.iterdir() if version.name != latest]
            yield from (folder / latest).glob("examples-1.json*")
        else:
            yield folder


def unused_client() -> Iterator[Path]:
    """Modules of the typed client that importing what the collectors import has not loaded."""
    for name in ("okta.cache.no_op_cache", "okta.jwt", "okta.request_executor"):
        import_module(name)
    for part in ("api", "models"):
        for file in list((home("okta") / part).glob("*.py")):
            if file.stem != "__init__" and f"okta.{part}.{file.stem}" not in sys.modules:
                yield file
                yield from (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")


def other_backends() -> Iterator[Path]:
    """The backend by cffi, and its bytecode."""
    yield from list(home("zstandard").rglob("*cffi*"))


def self_tests() -> Iterator[Path]:
    """One folder."""
    yield home("Cryptodome") / "SelfTest"


def home(package: str) -> Path:
    """The folder of an installed package."""
    return Path(str(import_module(package).__file__)).parent


def delete(path: Path) -> int:
    """Deletes a file, or a folder with all that is in it; how many bytes those were."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return size


if __name__ == "__main__":
    main()
