"""How much a reader of hooksync has to read: counts over the syntax trees, and their limits.

Lines are no measure, because a limit on lines makes them wider and fuller. `python -m
tests.project.size` prints the figures of hooksync, or of the package whose folder is given.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.command_line import ROOT

FUNCTION_LIMIT = 300  # nodes; functions above it are counted
SEVERAL = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.Lambda)


@dataclass
class Size:
    """The counts of a package. Here, "compound" means a simple statement that has more than one
    comprehension, conditional expression or lambda.
    """

    nodes: int = 0
    nodes_of_runs: int = 0  # without the receiver's side and the sandbox
    statements: int = 0
    simple_statements: int = 0
    compound: list[str] = field(default_factory=list)  # the places, "module.py:12"
    functions: dict[str, int] = field(default_factory=dict)  # nodes, by "module.py:12 name"

    def add(self, module: str, node: ast.AST) -> None:
        """Count one node of a module."""
        self.nodes += 1
        self.nodes_of_runs += not module.startswith(("receiver", "sandbox"))
        if isinstance(node, ast.stmt):
            self.statements += 1
            if not hasattr(node, "body"):
                self.simple_statements += 1
                if sum(isinstance(part, SEVERAL) for part in ast.walk(node)) > 1:
                    self.compound.append(f"{module}:{node.lineno}")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            place = f"{module}:{node.lineno} {node.name}"
            self.functions[place] = sum(1 for _ in ast.walk(node))

    @property
    def large_functions(self) -> list[str]:
        return [place for place, nodes in self.functions.items() if nodes > FUNCTION_LIMIT]

    def figures(self) -> dict[str, float]:
        """Return each figure that has a limit, under the same name as in LIMITS."""
        compound = 1000 * len(self.compound) / self.simple_statements
        return {
            "syntax nodes": self.nodes,
            "the same without receivers and sandbox": self.nodes_of_runs,
            "nodes per statement": round(self.nodes / self.statements, 2),
            "compound statements per 1,000": round(compound, 2),
            "functions over 300 nodes": len(self.large_functions),
            "nodes of the largest function": max(self.functions.values()),
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{name}: {figure:,} (limit {LIMITS[name]:,})"
            for name, figure in self.figures().items()
        )


# Never raise a limit. The design gives them, with room for code that reads better unsplit.
LIMITS: dict[str, float] = {
    "syntax nodes": 110_500,
    "the same without receivers and sandbox": 91_500,
    "nodes per statement": 10,
    "compound statements per 1,000": 1,
    "functions over 300 nodes": 0,
    "nodes of the largest function": 300,
}
TESTS_LIMIT = 250_000  # syntax nodes of tests/


def measure(package: Path) -> Size:
    """Return the counts of all modules of a package."""
    size = Size()
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            size.add(str(path.relative_to(package)), node)
    return size


def main(arguments: list[str]) -> None:
    """Print the figures, then the large functions and the compound statements."""
    size = measure(Path(arguments[0]) if arguments else ROOT / "hooksync")
    lines = [str(size), *size.large_functions, "compound statements:", *size.compound]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
