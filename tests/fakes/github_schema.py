"""Keeps of GitHub's published schema what this project's queries use: `python -m tests.fakes.github_schema FULL`.

GitHub publishes its GraphQL schema as one file, `schema.graphql`; the npm package `@octokit/graphql-schema` (MIT) ships
a copy of it. From there comes `github.graphql` beside this file: each type, field and argument that a query uses, as
GitHub states them, and nothing else. Make it anew whenever a query changes:

    npm pack @octokit/graphql-schema && tar xzf octokit-graphql-schema-*.tgz
    python -m tests.fakes.github_schema package/schema.graphql > tests/fakes/github.graphql
"""

import importlib
import pkgutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_specified_scalar_type,
    parse,
    print_ast,
    validate,
    visit,
)
from graphql.language import ast

import collectors.github
from collectors.github.graphql import Query

SCHEMA = Path(__file__).with_name("github.graphql")


def _queries() -> Iterator[Query]:
    """Every query of every module of the source."""
    package = collectors.github
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield from (value for value in vars(importlib.import_module(info.name)).values() if isinstance(value, Query))


QUERIES = list({query.name: query for query in _queries()}.values())


def main() -> None:
    full = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.stdout.write(trimmed(full))


def trimmed(full: str) -> str:
    """The part of the schema `full` that the queries rest on, without descriptions, in the order of `full`."""
    schema = build_schema(full, assume_valid=True)  # the published file defines a few fields twice
    used = _Used(TypeInfo(schema), schema)
    for query in QUERIES:
        document = parse(query.document)
        faults = validate(schema, document)
        if faults:
            raise SystemExit(f"{query.name}: {faults[0]}")
        visit(document, TypeInfoVisitor(used.types, used))
    kept = (_kept(node, used) for node in parse(full).definitions)
    return "\n\n".join(print_ast(node) for node in kept if node is not None) + "\n"


class _Used(Visitor):
    """Which fields of which types, and which other types, the queries use."""

    def __init__(self, types: TypeInfo, schema: GraphQLSchema) -> None:
        super().__init__()
        self.types = types
        self.schema = schema
        self.fields: defaultdict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.names: set[str] = set()

    def enter_field(self, node: ast.FieldNode, *_: Any) -> None:
        parent, field = self.types.get_parent_type(), self.types.get_field_def()
        if parent is None or field is None or node.name.value == "__typename":
            return
        arguments = {argument.name.value for argument in node.arguments or ()}
        for owner in self._owners(parent):
            self.fields[owner.name][node.name.value] |= arguments
        for used in (field.type, *(field.args[name].type for name in arguments)):
            self._use(get_named_type(used))

    def _owners(self, parent: Any) -> Iterator[Any]:
        yield parent
        if is_abstract_type(parent):
            yield from self.schema.get_possible_types(parent)

    def _use(self, kind: Any) -> None:
        if kind.name in self.names or is_specified_scalar_type(kind):
            return
        self.names.add(kind.name)
        for field in (
            getattr(kind, "fields", {}).values() if kind.ast_node.kind == "input_object_type_definition" else ()
        ):
            self._use(get_named_type(field.type))

    def enter_variable_definition(self, node: ast.VariableDefinitionNode, *_: Any) -> None:
        kind = self.types.get_input_type()
        if kind is not None:
            self._use(get_named_type(kind))


def _kept(node: Any, used: _Used) -> Any:
    name = node.name.value if getattr(node, "name", None) else ""
    if isinstance(node, ast.ObjectTypeDefinitionNode | ast.InterfaceTypeDefinitionNode) and name in used.fields:
        return _bare(node, fields=_fields(node, used), interfaces=_implemented(node, used))
    if isinstance(node, ast.UnionTypeDefinitionNode) and name in used.names:
        members = tuple(member for member in node.types or () if member.name.value in used.fields)
        return _bare(node, types=members)
    others = ast.EnumTypeDefinitionNode | ast.ScalarTypeDefinitionNode | ast.InputObjectTypeDefinitionNode
    if isinstance(node, others) and name in used.names:
        return _bare(node)
    return None


def _fields(node: Any, used: _Used) -> tuple[Any, ...]:
    wanted = used.fields[node.name.value]
    return tuple(
        _bare(
            field,
            arguments=tuple(a for a in map(_bare, field.arguments or ()) if a.name.value in wanted[field.name.value]),
        )
        for field in node.fields
        if field.name.value in wanted
    )


def _implemented(node: Any, used: _Used) -> tuple[Any, ...]:
    return tuple(interface for interface in node.interfaces or () if interface.name.value in used.fields)


def _bare(node: Any, **changes: Any) -> Any:
    parts = {
        name: tuple(_bare(part) for part in getattr(node, name))
        for name in ("values", "fields")
        if name not in changes and getattr(node, name, None)
    }
    return replace(node, description=None, directives=(), **parts, **changes)


if __name__ == "__main__":
    main()
