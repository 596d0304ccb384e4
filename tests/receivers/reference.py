"""Write docs/receiver-reference.md from hooksync/receiver.py: `python -m tests.receivers.reference`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from hooksync import receiver
from tests.command_line import ROOT

PAGE = ROOT / "docs" / "receiver-reference.md"
HEAD = """\
# Reference of hooksync.receiver

Every public name of [hooksync/receiver.py](../hooksync/receiver.py) with its types, for people who [write a receiver](receivers.md)
in Python. This page is made from the docstrings of that file.
"""
SOURCE = inspect.getsource(receiver)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_public(name: str) -> bool:
    return not name.startswith("_")


def code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def segment(node: ast.stmt) -> str:
    """Return the source of a statement, with the comments at the ends of its lines."""
    lines = SOURCE.splitlines()[node.lineno - 1 : node.end_lineno]
    return inspect.cleandoc("\n".join(lines))


def signature(function: Function, owner: str = "") -> str:
    """Return the parameters and the result of a function, as in the source, without `self`."""
    lines = SOURCE.splitlines()[function.lineno - 1 : function.body[0].lineno - 1]
    text = inspect.cleandoc("\n".join(lines)).removesuffix(":")
    for itself in ("\n    self,", "self, ", "self"):
        text = text.replace(itself, "", 1)
    if function.name == "__init__":
        return code(text.removesuffix(" -> None").replace("def __init__", owner))
    return code(text.replace("def ", f"{owner}." if owner else "", 1))


def described(node: ast.ClassDef | Function) -> str:
    return (ast.get_docstring(node) or "") + "\n"


def of_class(node: ast.ClassDef) -> Iterator[str]:
    fields = [segment(part) for part in node.body if isinstance(part, ast.AnnAssign)]
    methods = [part for part in node.body if isinstance(part, Function)]
    bases = {ast.unparse(base) for base in node.bases}
    yield f"## {node.name}\n"
    for method in methods:
        if method.name == "__init__" and "ValueError" not in bases:
            yield signature(method, node.name)
    yield described(node)
    if fields:
        yield code("\n".join(fields))
    for method in methods:
        if is_public(method.name) and not described(method).startswith("See "):
            yield signature(method, node.name)
            yield described(method)


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD]
    values = []
    for node in ast.parse(SOURCE).body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            parts += of_class(node)
        elif isinstance(node, Function) and is_public(node.name):
            parts += [f"## {node.name}\n", signature(node), described(node)]
        elif isinstance(node, ast.Assign) and is_public(ast.unparse(node.targets[0])):
            values.append(segment(node))
    parts += ["## Constants and types\n", code("\n".join(values))]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
