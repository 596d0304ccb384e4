"""The texts that an expression of the code may be, read from its source: nothing of it is run.

An expression is followed as far as it is text: constants, f-strings, names, tables, both sides of a condition, what
functions return and, for a parameter, what callers give. Where text ends (a path, a number, what is known elsewhere), a
placeholder stands. What is assigned in one branch, or at once, stays together.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hooksync"
MOST = 9000  # variants of one place: more are a mistake of this module
DEPTH = 12  # functions within functions

# calls and names whose value is no text of ours: a placeholder stands for it
OPAQUE = frozenset({"_reading", "filled_subject", "len", "os_reason", "quote", "rfc3339", "some_of", "where"})
FOLLOWED = frozenset({"set_fix"})  # whose words belong to the text that they stand in, as those of private functions
VALUES = frozenset({"whole", "subject", "label", "where", "path", "ref", "noun", "field", "request", "key", "flag"})

Env = Mapping[object, object]
Known = tuple[object, Env]  # a value, and what was chosen on the way to it


@dataclass(frozen=True)
class Hole:
    """What only a run knows."""

    name: str


@dataclass(frozen=True)
class Table:
    """A dictionary, of which any value may be taken."""

    pairs: tuple[tuple[object, object], ...]


Text = tuple["str | Hole", ...]


@dataclass(eq=False)
class Module:
    """A module of the package."""

    name: str
    tree: ast.Module

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Give module and name of each name that is imported, wherever in it."""
        return {
            each.asname or each.name: (node.module or "", each.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for each in node.names
        }

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Give what it assigns names to."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                found |= {target.id: node.value for target in targets_of(node) if isinstance(target, ast.Name)}
        return found


@dataclass(eq=False)
class Frame:
    """A function while it is followed. Its call is chosen when a parameter is first asked for."""

    function: ast.FunctionDef | None
    module: Module
    call: tuple[ast.Call, Frame] | None = None
    depth: int = 0


class Source:
    """All modules of the package, and where names in them lead."""

    def __init__(self, package: Path = PACKAGE) -> None:
        self.modules: dict[str, Module] = {}
        for path in sorted(package.rglob("*.py")):
            name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
            self.modules[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")))
        self._stored: dict[ast.AST, frozenset[str]] = {}
        self.parent: dict[ast.AST, ast.AST] = {}
        self.module: dict[ast.AST, Module] = {}
        self.calls: dict[str, list[ast.Call]] = defaultdict(list)
        self.functions: dict[str, list[ast.FunctionDef]] = defaultdict(list)
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                self.module[node] = module
                for child in ast.iter_child_nodes(node):
                    self.parent[child] = node
                if isinstance(node, ast.Call):
                    self.calls[called(node)].append(node)
                elif isinstance(node, ast.FunctionDef):
                    self.functions[node.name].append(node)

    def above(self, node: ast.AST, *kinds: type[ast.AST]) -> ast.AST | None:
        """Find the innermost node of a kind around another."""
        current = self.parent.get(node)
        while current is not None and not isinstance(current, kinds):
            current = self.parent.get(current)
        return current

    def function_of(self, node: ast.AST) -> ast.FunctionDef | None:
        found = self.above(node, ast.FunctionDef)
        return found if isinstance(found, ast.FunctionDef) else None

    def statement_of(self, node: ast.AST) -> ast.stmt:
        found = node if isinstance(node, ast.stmt) else self.above(node, ast.stmt)
        assert isinstance(found, ast.stmt)
        return found

    def targets_of(self, call: ast.Call) -> list[ast.FunctionDef]:
        """Find the functions that a call may mean: of this module first, else by a name that few have."""
        named = self.functions.get(called(call), [])
        here = [each for each in named if self.module[each] is self.module[call]]
        if isinstance(call.func, ast.Name):
            return here or ([] if self._is_foreign(call) else named[:1] if len(named) == 1 else [])
        holder = hole_of(call.func.value).strip("_") if isinstance(call.func, ast.Attribute) else ""
        if holder == "self" and here:
            return here
        meant = [each for each in named if self._class_of(each).endswith(holder)]
        return named if len(named) == 1 else meant if len(meant) == 1 else here if len(here) == 1 else []

    def _class_of(self, function: ast.FunctionDef) -> str:
        """Name the class of a method, in lower case: `runner` in a call is a StepRunner."""
        found = self.parent[function]
        return found.name.lower() if isinstance(found, ast.ClassDef) else ""

    def _is_foreign(self, call: ast.Call) -> bool:
        """Whether the name comes from outside the package, or is built in."""
        return not self.module[call].imported.get(called(call), ("", ""))[0].startswith("hooksync")

    def callers_of(self, function: ast.FunctionDef) -> list[ast.Call]:
        return [call for call in self.calls[function.name] if function in self.targets_of(call)]

    def constant(self, name: str, module: Module) -> tuple[ast.expr, Module] | None:
        """Find what a module assigns a name to, there or where it is imported from."""
        if name in module.constants:
            return module.constants[name], module
        origin, original = module.imported.get(name, ("", ""))
        return self.constant(original, self.modules[origin]) if origin in self.modules else None

    def stored(self, node: ast.AST) -> frozenset[str]:
        """Name what a statement, or what is in it, gives a value."""
        if node not in self._stored:
            names = (each for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store))
            self._stored[node] = frozenset(each.id for each in names)
        return self._stored[node]


def called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def terminates(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def targets_of(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    """Give what is assigned to; nothing for a declaration without a value."""
    return [] if node.value is None else node.targets if isinstance(node, ast.Assign) else [node.target]


def captures(parent: ast.AST, name: str) -> bool:
    """Whether a case of a match, or a with, gives the name a value."""
    if isinstance(parent, ast.match_case):
        return any(getattr(node, "name", None) == name for node in ast.walk(parent.pattern))
    return isinstance(parent, ast.With) and any(
        item.optional_vars and binds(item.optional_vars, name) for item in parent.items
    )


def binds(target: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def text(value: object) -> Text:
    """Take a value as text."""
    if isinstance(value, tuple) and all(isinstance(part, str | Hole) for part in value):
        return value
    return (Hole("…"),)


class Reader:
    """Follows expressions to the texts that they may be."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def value(self, node: ast.AST, frame: Frame, env: Env) -> list[Known]:
        found = getattr(self, f"_{type(node).__name__.lower()}", self._unknown)(node, frame, env)
        if len(found) > MOST:
            raise ValueError(f"{frame.module.name}:{getattr(node, 'lineno', 0)}: too many variants")
        return found or self._unknown(node, frame, env)

    def _unknown(self, node: ast.AST, frame: Frame, env: Env) -> list[Known]:
        return [((Hole(hole_of(node)),), env)]

    def _constant(self, node: ast.Constant, frame: Frame, env: Env) -> list[Known]:
        return [((node.value,) if isinstance(node.value, str) else None if node.value is None else (Hole("…"),), env)]

    def _joinedstr(self, node: ast.JoinedStr, frame: Frame, env: Env) -> list[Known]:
        is_readable = words("".join(part.value for part in node.values if isinstance(part, ast.Constant))) > 1
        found: list[Known] = [((), env)]
        for part in node.values:
            found = [
                ((*text(before), *text(value)), later)
                for before, known in found
                for value, later in (
                    self._part(part.value, frame, known, is_readable=is_readable)
                    if isinstance(part, ast.FormattedValue)
                    else self.value(part, frame, known)
                )
            ]
        return found

    def _part(self, node: ast.expr, frame: Frame, env: Env, *, is_readable: bool) -> list[Known]:
        """Follow what is put into a text; only what stands close by, if the text can be read without."""
        if isinstance(node, ast.Name) and node.id in VALUES:
            return self._unknown(node, frame, env)
        if isinstance(node, ast.Name) and (is_readable or node.id == "name") and self._is_distant(node, frame):
            return self._unknown(node, frame, env)
        if (
            is_readable
            and isinstance(node, ast.Call)
            and not called(node).startswith("_")
            and called(node) not in FOLLOWED
        ):
            return self._unknown(node, frame, env)
        found = self.value(node, frame, env)
        return [(value, known) for value, known in found if value is not None] or found

    def _is_distant(self, node: ast.Name, frame: Frame) -> bool:
        """Whether a name is a caller's, or the result of a call."""
        found = list(self._definitions(node, frame, {}))
        return any(
            kind not in ("assignment", "addition", "walrus") or isinstance(getattr(definition, "value", None), ast.Call)
            for kind, definition, _ in found
        )

    def _binop(self, node: ast.BinOp, frame: Frame, env: Env) -> list[Known]:
        if not isinstance(node.op, ast.Add):
            return self._unknown(node, frame, env)
        return [
            ((*text(left), *text(right)), last)
            for left, later in self.value(node.left, frame, env)
            for right, last in self.value(node.right, frame, later)
        ]

    def _ifexp(self, node: ast.IfExp, frame: Frame, env: Env) -> list[Known]:
        key = (id(frame), ast.dump(node.test))
        sides = {True: node.body, False: node.orelse}
        chosen = [env[key]] if key in env else [True, False]
        return [found for side in chosen for found in self.value(sides[bool(side)], frame, {**env, key: side})]

    def _boolop(self, node: ast.BoolOp, frame: Frame, env: Env) -> list[Known]:
        values = node.values if isinstance(node.op, ast.Or) else [node.values[-1], ast.Constant("")]
        found = [found for each in values for found in self.value(each, frame, env)]
        return [(value, known) for value, known in found if value is not None] or found

    def _namedexpr(self, node: ast.NamedExpr, frame: Frame, env: Env) -> list[Known]:
        return self.value(node.value, frame, env)

    def _tuple(self, node: ast.Tuple, frame: Frame, env: Env) -> list[Known]:
        found: list[Known] = [([], env)]
        for each in node.elts:
            is_star = isinstance(each, ast.Starred)
            inner = each.value if isinstance(each, ast.Starred) else each
            found = [
                ([*before, *(value if is_star and isinstance(value, list) else [value])], later)
                for before, known in found
                for value, later in self.value(inner, frame, known)
            ]
        return found

    def _dict(self, node: ast.Dict, frame: Frame, env: Env) -> list[Known]:
        pairs: list[tuple[object, object]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                pairs += [((Hole("…"),), each) for each, _ in self.value(value, frame, env)]
            elif isinstance(value, ast.Call) and called(value) == "fromkeys":
                pairs += [((Hole("…"),), each) for each, _ in self.value(value.args[1], frame, env)]
            else:
                pairs += [
                    pair for each, _ in self.value(value, frame, env) if isinstance(each, Table) for pair in each.pairs
                ]
        return [(Table(tuple(pairs)), env)]

    def _subscript(self, node: ast.Subscript, frame: Frame, env: Env) -> list[Known]:
        found: list[Known] = []
        for value, later in self.value(node.value, frame, env):
            if isinstance(value, Table):
                found += [(each, later) for _, each in value.pairs]
            elif isinstance(value, list) and isinstance(node.slice, ast.Constant):
                found.append((value[node.slice.value], later))
            else:
                found += self._unknown(node, frame, later)
        return found

    def _attribute(self, node: ast.Attribute, frame: Frame, env: Env) -> list[Known]:
        """Follow a constant of a module or of a class; other attributes are not text of ours."""
        if isinstance(node.value, ast.Name) and node.value.id in frame.module.imported:
            module = self.source.modules.get(".".join(frame.module.imported[node.value.id]))
            found = self._constant_of(node.attr, module, env) if module else []
            return found or self._unknown(node, frame, env)
        return self._unknown(node, frame, env)

    def _constant_of(self, name: str, module: Module, env: Env) -> list[Known]:
        found = self.source.constant(name, module)
        return self.value(found[0], Frame(None, found[1]), env) if found else []

    def _name(self, node: ast.Name, frame: Frame, env: Env) -> list[Known]:
        found: list[Known] = []
        for kind, definition, known in self._definitions(node, frame, env):
            found += getattr(self, f"_of_{kind}")(node.id, definition, frame, known)
        return found or self._constant_of(node.id, frame.module, env) or self._unknown(node, frame, env)

    # what a name may have been given

    def _definitions(self, node: ast.Name, frame: Frame, env: Env) -> list[tuple[str, ast.AST, Env]]:
        inner: ast.AST | None = node
        while inner is not None and not isinstance(inner, ast.stmt):
            outer = self.source.parent.get(inner)
            if isinstance(outer, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
                for generator in outer.generators:
                    if binds(generator.target, node.id) and inner is not generator:
                        return [("loop", generator, env)]
            if isinstance(outer, ast.Lambda) and any(each.arg == node.id for each in outer.args.args):
                return []
            inner = outer
        return list(self._before(self.source.statement_of(node), node.id, frame, env, is_within=True))

    def _before(
        self, statement: ast.stmt, name: str, frame: Frame, env: Env, *, is_within: bool = False
    ) -> Iterator[tuple[str, ast.AST, Env]]:
        """Walk backward from a statement to what the name was given last, on every way."""
        if is_within and not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            for node in ast.walk(statement) if name in self.source.stored(statement) else ():  # `if found := ...:`
                if isinstance(node, ast.NamedExpr) and node.target.id == name:
                    yield "walrus", node, env
                    return
        parent = self.source.parent[statement]
        block = next(
            block
            for part in ("body", "orelse", "finalbody")
            if isinstance(block := getattr(parent, part, None), list) and statement in block
        )
        for kind, node, known in self._through(block[: block.index(statement)], name, frame, env):
            if kind == "passed":
                yield from self._around(parent, name, frame, known)
            else:
                yield kind, node, known

    def _around(self, parent: ast.AST, name: str, frame: Frame, env: Env) -> Iterator[tuple[str, ast.AST, Env]]:
        if isinstance(parent, ast.FunctionDef):
            arguments = parent.args
            if any(each.arg == name for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
                yield "parameter", parent, env
            elif self.source.function_of(parent):  # of the function around it
                yield from self._before(parent, name, frame, env)
            return
        if isinstance(parent, ast.For) and binds(parent.target, name):
            yield "loop", parent, env
        elif isinstance(parent, ast.ExceptHandler) and parent.name == name:
            yield "error", parent, env
        elif captures(parent, name):
            yield "capture", parent, env
        elif isinstance(parent, ast.Module | ast.ClassDef):
            return
        else:
            walrus = [
                node
                for test in ast.iter_child_nodes(parent)
                if isinstance(test, ast.expr)
                for node in ast.walk(test)
                if isinstance(node, ast.NamedExpr) and node.target.id == name
            ]
            if walrus:
                yield "walrus", walrus[0], env
                return
            holder = parent if isinstance(parent, ast.stmt) else self.source.parent[parent]
            assert isinstance(holder, ast.stmt)
            yield from self._before(holder, name, frame, env)

    def _within(self, node: ast.stmt, name: str, frame: Frame, env: Env) -> Iterator[tuple[str, ast.AST, Env]]:
        """Find what a whole statement gives the name, on every way through it; `passed` where it gives nothing."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef) or name not in self.source.stored(node):
            yield "passed", node, env
            return
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(binds(target, name) for target in targets_of(node)):
            yield "assignment", node, env
        elif isinstance(node, ast.AugAssign) and binds(node.target, name):
            yield "addition", node, env
        else:
            blocks, may_pass = ways_through(node)
            key = (id(frame), id(node))
            for index, block in enumerate(blocks):
                if terminates(block) or env.get(key, index) != index:
                    continue
                chosen = {**env, key: index}
                if block:
                    yield from self._through(block, name, frame, chosen)
                else:
                    yield "passed", node, chosen
            if may_pass:
                walrus = [n for n in ast.walk(node) if isinstance(n, ast.NamedExpr) and n.target.id == name]
                yield ("walrus", walrus[0], env) if walrus else ("passed", node, env)

    def _through(self, block: list[ast.stmt], name: str, frame: Frame, env: Env) -> Iterator[tuple[str, ast.AST, Env]]:
        waiting = [env]
        for statement in reversed(block):
            passed: list[Env] = []
            for known in waiting:
                for kind, node, later in self._within(statement, name, frame, known):
                    if kind == "passed":
                        passed.append(later)
                    else:
                        yield kind, node, later
            waiting = passed
        for known in waiting:
            yield "passed", ast.Pass(), known

    def _of_assignment(self, name: str, node: ast.Assign | ast.AnnAssign, frame: Frame, env: Env) -> list[Known]:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        assert node.value is not None
        return self._unpacked(name, target, node, node.value, frame, env)

    def _unpacked(
        self, name: str, target: ast.AST, key: ast.AST, value: ast.expr, frame: Frame, env: Env
    ) -> list[Known]:
        """Give a name its part of a value; all names of one assignment get parts of the same one."""
        chosen = (id(frame), id(key), "value")
        known = [(env[chosen], env)] if chosen in env else self.value(value, frame, env)
        if len(known) > 1 or chosen not in env:
            known = [(each, {**later, chosen: each}) for each, later in known]
        return [(part_of(each, target, name), later) for each, later in known]

    def _of_walrus(self, name: str, node: ast.NamedExpr, frame: Frame, env: Env) -> list[Known]:
        return self._unpacked(name, node.target, node, node.value, frame, env)

    def _of_addition(self, name: str, node: ast.AugAssign, frame: Frame, env: Env) -> list[Known]:
        found: list[Known] = []
        for kind, definition, known in self._before(node, name, frame, env):
            for first, later in getattr(self, f"_of_{kind}")(name, definition, frame, known):
                found += [((*text(first), *text(more)), last) for more, last in self.value(node.value, frame, later)]
        return found

    def _of_capture(self, name: str, node: ast.AST, frame: Frame, env: Env) -> list[Known]:
        return [((Hole(name),), env)]

    _of_error = _of_capture  # the texts of errors are messages of their own

    def _frame_of(self, node: ast.AST) -> Frame:
        return Frame(self.source.function_of(node), self.source.module[node])

    def _of_loop(self, name: str, node: ast.For | ast.comprehension, frame: Frame, env: Env) -> list[Known]:
        chosen = (id(frame), id(node), "value")
        known = [(env[chosen], env)] if chosen in env else self.elements(node.iter, frame, env)
        return [(part_of(each, node.target, name), {**later, chosen: each}) for each, later in known]

    def _of_parameter(self, name: str, node: ast.FunctionDef, frame: Frame, env: Env) -> list[Known]:
        """Follow a parameter to what is given for it: by the call that is followed, or by every one."""
        while frame.function is not node and frame.function is not None:  # of the function around this one
            frame = Frame(node, frame.module)
        if frame.depth > DEPTH:
            return [((Hole(name),), env)]
        chosen = (id(node), "call")
        if frame.call is not None:
            calls = [frame.call]
        elif chosen in env:
            calls = [env[chosen]]
        else:
            calls = [(call, self._frame_of(call)) for call in self.source.callers_of(node)]
        found: list[Known] = []
        for call, caller in calls:
            outer = Frame(caller.function, caller.module, caller.call, frame.depth + 1) if not frame.call else caller
            later = env if frame.call else {**env, chosen: (call, outer)}
            given = self._argument(name, node, call, outer, later)
            if not given:
                raise ValueError(f"{caller.module.name}:{call.lineno}: {node.name} is not given {name}")
            found += given
        return found or [((Hole(name),), env)]

    def _argument(self, name: str, node: ast.FunctionDef, call: ast.Call, caller: Frame, env: Env) -> list[Known]:
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        if names[:1] in (["self"], ["cls"]):
            names = names[1:]
        for keyword in call.keywords:
            if keyword.arg == name:
                return self.value(keyword.value, caller, env)
        if name in names:
            found: list[Known] = []
            given = (id(call), "arguments")  # which belong together
            known = [(env[given], env)] if given in env else self._tuple(ast.Tuple(call.args), caller, env)
            for arguments, later in known if has_star(call) else []:
                if len(arguments) > names.index(name):
                    found.append((arguments[names.index(name)], {**later, given: arguments}))
            if found:
                return found
            if not has_star(call) and len(call.args) > names.index(name):
                return self.value(call.args[names.index(name)], caller, env)
        defaults = dict(zip(reversed(names), reversed(node.args.defaults), strict=False))
        only = dict(zip((each.arg for each in node.args.kwonlyargs), node.args.kw_defaults, strict=True))
        default = defaults.get(name) or only.get(name)
        return self.value(default, Frame(None, caller.module), env) if default is not None else []

    # what a call gives

    def _call(self, node: ast.Call, frame: Frame, env: Env) -> list[Known]:
        name = called(node)
        if name == "format" and isinstance(node.func, ast.Attribute):
            return [(formatted(value), later) for value, later in self.value(node.func.value, frame, env)]
        if name in ("removesuffix", "removeprefix", "lower") and isinstance(node.func, ast.Attribute):
            return self.value(node.func.value, frame, env)
        if name in ("printable", "str", "tuple", "cast") and node.args:
            return self.value(node.args[-1], frame, env)
        if name == "get" and isinstance(node.func, ast.Attribute):
            more = [known for each in node.args[1:] for known in self.value(each, frame, env)]
            tables = [
                (value, later) for value, later in self.value(node.func.value, frame, env) if isinstance(value, Table)
            ]
            if tables:
                return [(each, later) for value, later in tables for _, each in value.pairs] + more
        if name in OPAQUE or frame.depth > DEPTH:
            return self._unknown(node, frame, env)
        found: list[Known] = []
        for function in self.source.targets_of(node):
            inner = Frame(function, self.source.module[function], (node, frame), frame.depth + 1)
            for each in own_nodes(function):
                if isinstance(each, ast.Return) and each.value is not None:
                    found += self.value(each.value, inner, env)
        return [(value, env) for value in distinct(value for value, _ in found)] or self._unknown(node, frame, env)

    def elements(self, node: ast.expr, frame: Frame, env: Env) -> list[Known]:
        """Give what a loop over something runs through."""
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return [
                known
                for each in node.elts
                for known in (
                    self.elements(each.value, frame, env)
                    if isinstance(each, ast.Starred)
                    else self.value(each, frame, env)
                )
            ]
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            return self.value(node.elt, frame, env)
        if isinstance(node, ast.Name):
            found = []
            for kind, definition, known in self._definitions(node, frame, env):
                if kind in ("assignment", "walrus"):
                    found += self.elements(definition.value, frame, known)
            constant = self.source.constant(node.id, frame.module)
            if not found and constant:
                return self.elements(constant[0], Frame(None, constant[1]), env)
            return found or self._unknown(node, frame, env)
        if isinstance(node, ast.Call):
            return self._elements_of_call(node, frame, env)
        return self._unknown(node, frame, env)

    def _elements_of_call(self, node: ast.Call, frame: Frame, env: Env) -> list[Known]:
        name = called(node)
        if name in ("sorted", "tuple", "list", "set", "reversed", "fromkeys") and node.args:
            return self.elements(node.args[0], frame, env)
        if name in ("filter", "islice") and node.args:
            return self.elements(node.args[-1 if name == "filter" else 0], frame, env)
        if name == "enumerate":
            return [([(Hole("…"),), value], later) for value, later in self.elements(node.args[0], frame, env)]
        if name in ("items", "values") and isinstance(node.func, ast.Attribute):
            tables = [each for each in self.value(node.func.value, frame, env) if isinstance(each[0], Table)]
            pairs = [(pair, later) for table, later in tables for pair in table.pairs]
            if pairs:
                return [(list(pair) if name == "items" else pair[1], later) for pair, later in pairs]
        found: list[Known] = []
        for function in self.source.targets_of(node) if frame.depth <= DEPTH else []:
            inner = Frame(function, self.source.module[function], (node, frame), frame.depth + 1)
            for each in own_nodes(function):
                if isinstance(each, ast.Yield) and each.value is not None:
                    found += self.value(each.value, inner, env)
                elif isinstance(each, ast.YieldFrom) or (isinstance(each, ast.Return) and each.value is not None):
                    found += self.elements(each.value, inner, env)
        return found or self._unknown(node, frame, env)


def distinct(values: Iterable[object]) -> list[object]:
    """Keep each value once: what was chosen within a function on the way to it matters no more outside."""
    found: dict[str, object] = {repr(value): value for value in values}
    return list(found.values())


def own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk a function without those inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def has_star(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Starred) for each in call.args)


def ways_through(node: ast.stmt) -> tuple[list[list[ast.stmt]], bool]:
    """Give the blocks of a statement of which one is run, and whether none may be."""
    if isinstance(node, ast.If):
        return [node.body, node.orelse], False
    if isinstance(node, ast.For | ast.While):
        return [node.body], True
    if isinstance(node, ast.With):
        return [node.body], False
    if isinstance(node, ast.Try):
        return [[*node.body, *node.orelse], *(handler.body for handler in node.handlers)], False
    if isinstance(node, ast.Match):
        return [case.body for case in node.cases], True
    return [], True


def part_of(value: object, target: ast.AST, name: str) -> object:
    """Take of a value what a name among targets gets."""
    if isinstance(target, ast.Name):
        return value
    if isinstance(target, ast.Starred):
        return (Hole(name),)
    if isinstance(target, ast.Tuple | ast.List):
        for index, each in enumerate(target.elts):
            if binds(each, name):
                if isinstance(value, list) and len(value) == len(target.elts):
                    return part_of(value[index], each, name)
                return (Hole(name),)
    return (Hole(name),)


def hole_of(node: ast.AST) -> str:
    """Name a placeholder by what stands there."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        name = called(node)
        if name in ("printable", "str", "some_of", "quote", "len", "join", "os_reason") and node.args:
            return hole_of(node.args[0])
        return name
    if isinstance(node, ast.Subscript):
        return hole_of(node.value)
    return "…"


def formatted(value: object) -> Text:
    """Put placeholders where `format` puts something."""
    parts: list[str | Hole] = []
    for part in text(value):
        if isinstance(part, Hole):
            parts.append(part)
            continue
        for index, piece in enumerate(re.split(r"\{(\w*)[^}]*\}", part)):
            parts.append(Hole(piece) if index % 2 else piece)
    return tuple(parts)


def words(written: str) -> int:
    return len(re.findall(r"[A-Za-z]{2,}", written))


def template(value: object) -> str:
    """Write a text with its placeholders."""
    if value is None:
        return ""
    return "".join(part if isinstance(part, str) else f"«{part.name}»" for part in text(value))
