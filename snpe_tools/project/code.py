"""Which of our own source files an artefact is made by: the module of its step, and all that it imports.

Read from the import statements themselves, so that no list can be forgotten. What only speaks, waits, judges or keeps
records is left out: a better message makes no other artefact.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_MAKERS = {
    "convert": ("steps.convert", "toolchains.pypi.dump"),  # which runs as a program
    "inputs": ("steps.inputs", "execution.written_inputs"),
    "observe": ("steps.quantize",),
    "run": ("execution.emulator", "execution.worker"),
}
"""Steps that are made by something else than the module of their name."""
_MAKE_NOTHING = (
    "__init__", "_version", "cli", "project", "self_check",
    "core.errors", "core.findings", "core.locks", "core.process", "core.progress",
)  # fmt: skip


@cache
def code_hash(step: str, more: tuple[str, ...] = ()) -> str:
    """Twelve hexadecimal digits of the code that makes a step's artefact.

    Args:
        more: further modules that make it, named from the package down, such as those of a task.
    """
    digest = hashlib.sha256()
    for file in source_files(step, more):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


@cache
def source_files(step: str, more: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """The source files that make a step's artefact, sorted.

    Raises:
        KeyError: there is no such step or module.
    """
    waiting = [*_MAKERS.get(step, (f"steps.{step}",)), *more]
    if missing := [module for module in waiting if not _file(module)]:
        raise KeyError(missing[0])
    found: dict[str, Path] = {}
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if file and module not in found and not _makes_nothing(module):
            found[module] = file
            waiting += _imports(module)
    return tuple(sorted(found.values()))


def _makes_nothing(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _MAKE_NOTHING)


def _file(module: str) -> Path | None:
    """The source of a module, named from the package down; None where there is none."""
    place = PACKAGE.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of the package that a module imports, wherever in it, but for those that only type checkers import."""
    file = _file(module)
    assert file is not None  # noqa: S101 - the callers looked
    return tuple(dict.fromkeys(_imported(ast.parse(file.read_bytes()))))


def _imported(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield from _imported(child)
        names = [alias.name for alias in child.names] if isinstance(child, ast.Import | ast.ImportFrom) else []
        if isinstance(child, ast.Import):
            yield from (name.removeprefix("snpe_tools.") for name in names if name.startswith("snpe_tools."))
        if isinstance(child, ast.ImportFrom) and (child.module or "").partition(".")[0] == "snpe_tools":
            room = (child.module or "").partition(".")[2]
            yield from filter(None, [room])
            yield from (f"{room}.{name}".lstrip(".") for name in names)
