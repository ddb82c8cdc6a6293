"""`python -m agent.reference` writes all generated files below the current folder."""

from pathlib import Path

from agent.reference import files


def main() -> None:
    """Writes each file whose content is not there already, and deletes the generated ones that are no more."""
    wanted = {Path(name): content for name, content in files().items()}
    for folder in (Path("docs/permissions"), Path("docs/schema")):
        for stray in set(folder.glob("*")) - wanted.keys():
            stray.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path}")  # noqa: T201 a command's own output


if __name__ == "__main__":
    main()
