"""`config`: check it, see its schema, begin one."""

import typer

from agent.cli.options import ConfigPath, Json

app = typer.Typer(help="The configuration.", no_args_is_help=True)


@app.command()
def check(config: ConfigPath = None, *, json: Json = False) -> None:
    """Checks the configuration as a whole, and names every problem. Exit code 78 where there is one."""
    from agent.cli.output import count, print_json, say
    from agent.load import load, locate

    loaded = load(locate(config))
    if json:
        print_json(
            {
                "path": str(loaded.path),
                "collectors": {
                    collector.name: {
                        "source": collector.source_name,
                        "enabled": collector.common.enabled,
                        "types": [kind.id for kind in collector.types],
                    }
                    for collector in loaded.collectors.values()
                },
            }
        )
        return
    say(f"{loaded.path} is good: {count(len(loaded.enabled), 'collector')} enabled.")
    for collector in loaded.collectors.values():
        state = f"{collector.common.schedule}" if collector.common.enabled else "disabled"
        say(f"  {collector.name} ({collector.source_name}, {state}): {count(len(collector.types), 'evidence type')}")


@app.command()
def show(config: ConfigPath = None, *, json: Json = False) -> None:
    """Shows the configuration in force: each value, and where it comes from. No secret is in it."""
    import os
    from dataclasses import asdict

    from agent.cli.output import print_json, say, table
    from agent.load import load, locate, read
    from agent.resolved import resolved

    path = locate(config)
    settings = list(resolved(load(path), read(path), os.environ))
    if json:
        print_json({"path": str(path), "settings": [asdict(setting) for setting in settings]})
        return
    say(f"{path}")
    table(("key", "value", "from"), [(each.key, _written(each.value), each.origin) for each in settings])


def _written(value: object) -> str:
    """As it would stand in the file; empty where it is not set."""
    from json import dumps

    return "" if value is None else dumps(value, ensure_ascii=False)


@app.command()
def schema() -> None:
    """Prints the JSON Schema of the configuration, for editors."""
    from agent.cli.output import print_json
    from agent.reference import config_schema

    print_json(config_schema())


@app.command()
def example() -> None:
    """Prints a complete, commented configuration to begin with."""
    import sys

    from agent.reference import config_example

    sys.stdout.write(config_example())
