"""The structure that README promises: imports point down, heavy packages load late, few public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convaudit
from tests.cli.conftest import save_model

ROOT = Path(convaudit.__file__).parent
FLOORS = (
    {"errors", "version"},
    {"files", "formulas"},
    {"named_sizes"},
    {"arguments"},
    {"units"},
    {"apart"},
    {"shapes"},
    {"records"},
    {"analyzer", "engine"},
    {"feeds"},
    {"judge", "timing", "linting", "explaining"},
    {"frontends"},
    {"checks"},
    {"reporters"},
    {"report", "requests", "alternating"},
    {"api"},
    {"twins", "sweeps", "explanations"},
    {"lints"},
    {"testing"},
    {"cli"},
    {"__main__", "__init__"},
)
"""Rooms of the house, from the ground up: a room imports what is below it, and nothing beside it."""
STAGES = (
    {"_private"},
    {"loader"},
    {"*"},
    {"shapes"},
    {"walker"},
    {"verifier"},
    {"variant"},
    {"twin", "channels", "linter"},
    {"timer", "fixer"},
    {"frontend"},
)
"""Rooms inside each front end; "*" is what stands in none of them: what its system calls things."""


def module_of(path: Path) -> str:
    """``engine.threads`` for convaudit/engine/threads.py, ``engine`` for its ``__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """``engine`` for engine.threads, ``frontends.onnx.walker`` for frontends.onnx.walker.walk."""
    names = module.split(".")
    if names[0] != "frontends" or len(names) == 1:
        return names[0]
    stage = names[2] if len(names) > 2 and any(names[2] in stage for stage in STAGES) else "*"
    return f"frontends.{names[1]}.{stage}"


def stands_below(lower: str, upper: str) -> bool:
    """Whether one room may be imported by another one."""
    inside = [room.startswith("frontends.") for room in (lower, upper)]
    if all(inside):
        (_, system, stage), (_, other_system, other_stage) = lower.split("."), upper.split(".")
        height = {name: index for index, stages in enumerate(STAGES) for name in stages}
        return system == other_system and height[stage] < height[other_stage]
    if inside[0]:
        return False  # only the table of front ends leads into one
    if inside[1] and lower == "frontends":
        return True  # the protocol
    floors = [
        next((height for height, floor in enumerate(FLOORS) if room.split(".")[0] in floor), len(FLOORS))
        for room in (lower, upper)
    ]
    return floors[0] < floors[1]


def is_module(name: str) -> bool:
    """Whether a dotted name of this project is a module or package, not something inside one."""
    path = ROOT.parent / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imported_modules(source: str) -> Iterator[str]:
    """Modules of convaudit that a module imports, anywhere in it: at the top, in functions, for typing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            modules = ["convaudit.<relative>"]
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            named = [f"{name}.{alias.name}" for alias in node.names]
            modules = [module if is_module(module) else name for module in named]
        else:
            continue
        for module in modules:
            package_name, _, rest = module.partition(".")
            if package_name == "convaudit":
                yield rest or "__init__"


def violations(room: str, source: str) -> list[str]:
    """Imports of ``source``, a module in ``room``, that do not point strictly down."""
    return [
        f"{room} imports {imported}"
        for imported in map(room_of, imported_modules(source))
        if imported != room and not stands_below(imported, room)
    ]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    assert violations(room_of(module_of(path)), path.read_text(encoding="utf-8")) == []


def rooms_of_the_map() -> dict[str, int]:
    """In which row of README's map each room stands."""
    readme = (ROOT.parent / "README.md").read_text(encoding="utf-8").partition("## The map")[2]
    cells = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")]
    return {
        name.rstrip("/").replace("/", "."): row
        for row, cell in enumerate(cells)
        for name in re.findall(r"`([^`]+)`", cell)
    }


def test_a_room_imports_only_what_stands_above_it_in_the_map():
    rows = rooms_of_the_map()
    imports = {
        tuple(".".join(room_of(name).split(".")[:2]) for name in (module_of(path), imported))
        for path in ROOT.rglob("*.py")
        if path.stem != "__main__" and path != ROOT / "__init__.py"
        for imported in imported_modules(path.read_text(encoding="utf-8"))
    }
    assert {room for pair in imports for room in pair} - rows.keys() == set(), "name it in README's map"
    assert [f"{room} imports {other}" for room, other in sorted(imports) if rows[room] < rows[other]] == []


UPWARD = [
    pytest.param("records", "from convaudit.analyzer import analyze", id="up"),
    pytest.param("shapes", "def f():\n    from convaudit.records import Network", id="in-a-function"),
    pytest.param("analyzer", "import convaudit.engine.conv", id="sibling"),
    pytest.param("engine", "from ..records import Network", id="relative"),
    pytest.param("engine", "from convaudit import audit", id="through-the-package"),
    pytest.param("reporters", "if TYPE_CHECKING:\n    from convaudit.report import Report", id="for-typing"),
    pytest.param("api", "from convaudit.newcomer import thing", id="part-without-a-floor"),
    pytest.param(
        "frontends.onnx.loader", "from convaudit.frontends.onnx.walker import walk", id="loader-to-walker"
    ),
    pytest.param("frontends.onnx.*", "import convaudit.frontends.onnx.shapes.inferred", id="words-to-stage"),
    pytest.param(
        "frontends.torch.verifier", "from convaudit.frontends.onnx.ops import CONV_OPS", id="other-front-end"
    ),
    pytest.param("judge", "from convaudit.frontends.torch import ops", id="judge-to-front-end"),
    pytest.param("cli", "from convaudit.frontends.torch.loader import source", id="past-the-protocol"),
    pytest.param("frontends", "from convaudit.frontends.onnx import frontend", id="table-to-front-end"),
]


@pytest.mark.parametrize(("room", "source"), UPWARD)
def test_the_import_test_can_fail(room, source):
    assert len(violations(room, source)) == 1


DOWNWARD = [
    pytest.param(
        "frontends.onnx.walker", "from convaudit.frontends.onnx.loader import wire", id="walker-to-loader"
    ),
    pytest.param("frontends.onnx.walker", "from convaudit.frontends.onnx import ops", id="walker-to-words"),
    pytest.param("frontends.torch.verifier", "from convaudit.judge.verdict import judge", id="to-judge"),
    pytest.param("frontends.onnx.frontend", "from convaudit.frontends import Request", id="to-the-protocol"),
]


@pytest.mark.parametrize(("room", "source"), DOWNWARD)
def test_the_import_test_can_pass(room, source):
    assert violations(room, source) == []


SAME_NAMES = {
    "add": "formulas.add is of counts, reals.add of what a float tensor holds",
    "multiply": "as add",
    "audit": "the command is called as the function that it calls",
    "check": "as audit",
    "diff": "as audit",
    "twin": "as audit",
    "sweep": "as audit",
    "explain": "as audit",
    "lint": "as audit",
    "render_sweep": "as render_audit",
    "render_sweeps": "as render_audit",
    "RUNTIME": "each runtime's own, which onnx.runtime.RUNTIMES names",
    "render_audit": "each format's own, which reporters.FORMATS names",
    "render_models": "as render_audit",
    "render_check": "as render_audit",
    "render_diff": "as render_audit",
    "render_lint": "as render_audit",
    "render_explain": "as render_audit",
}
"""Public names that two modules may define, with the reason."""


def defined_names(source: str) -> set[str]:
    """Public classes, functions, types and constants at the top of a module."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def repeated_names(sources: dict[str, str]) -> dict[str, list[str]]:
    """Names with several owners; the front ends, none of which sees another, may use each other's words."""
    owners: dict[str, list[str]] = {}
    for module, source in sources.items():
        for name in defined_names(source):
            owners.setdefault(name, []).append(module)
    repeated = {}
    for name, modules in owners.items():
        systems = [module.split(".")[1] for module in modules if module.startswith("frontends.")]
        if len(modules) > 1 and (len(systems) < len(modules) or len(set(systems)) < len(systems)):
            repeated[name] = sorted(modules)
    return repeated


def test_each_public_name_has_one_owner():
    sources = {module_of(path): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    repeated = {name: owners for name, owners in repeated_names(sources).items() if name not in SAME_NAMES}
    assert repeated == {}, "rename them all but one, or say in SAME_NAMES why they are one idea"


@pytest.mark.parametrize(
    ("first", "second", "repeated"),
    [
        pytest.param("records", "checks.outcome", True, id="two-rooms"),
        pytest.param("records", "frontends.onnx.ops", True, id="front-end-and-room"),
        pytest.param("frontends.onnx.ops", "frontends.onnx.walker.walk", True, id="one-front-end"),
        pytest.param("frontends.onnx.ops", "frontends.torch.ops", False, id="two-front-ends"),
    ],
)
def test_the_test_of_owners_can_fail(first, second, repeated):
    sources = {first: "class Status: ...\n_A = B, C = 1", second: "Status: object = 1\n_A = 2"}
    assert set(repeated_names(sources)) == ({"Status"} if repeated else set())


def loaded_by(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has imported after ``code``."""
    script = f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


HEAVY = {"torch", "torchvision", "onnx", "onnxruntime", "numpy", "pandas", "sympy", "jsonschema", "tabulate"}
LATE = [
    pytest.param("import convaudit", HEAVY | {"click"}, id="import"),
    pytest.param("from convaudit import Report, UsageError, Formula", HEAVY | {"click"}, id="names"),
    pytest.param(
        "import click.testing, convaudit.cli\n"
        "from convaudit.cli.group import cli\n"
        "assert click.testing.CliRunner().invoke(cli, ['--help']).exit_code == 0",
        HEAVY,
        id="help",
    ),
]


@pytest.mark.parametrize(("code", "absent"), LATE)
def test_heavy_packages_load_late(code, absent):
    assert loaded_by(code) & absent == set()


def test_an_onnx_audit_imports_only_what_it_needs(tmp_path):
    path = save_model(tmp_path / "model.onnx")
    late = (
        *("convaudit.linting", "convaudit.records.findings", "convaudit.records.timing", "convaudit.judge"),
        *("convaudit.explaining", "convaudit.records.explanation", "convaudit.reporters.pictures"),
    )
    loaded = loaded_by(
        f"import sys, convaudit; print(convaudit.audit({str(path)!r}))\n"
        f"assert not [name for name in sys.modules if name.startswith({late!r})]"
    )
    assert {"onnx", "tabulate"} <= loaded
    assert (
        loaded
        & {
            "torch",
            "torchvision",
            "onnxruntime",
            "pandas",
            "sympy",
            "jsonschema",
            "onnx_ir",
            "jinja2",
            "altair",
        }
        == set()
    )


def test_the_loading_test_can_fail():
    assert "numpy" in loaded_by("import numpy")


def test_public_names_are_exactly_those_listed():
    assert convaudit.__all__ == sorted(convaudit.__all__, key=str)
    assert dir(convaudit) == convaudit.__all__
    for name in convaudit.__all__:
        assert getattr(convaudit, name) is not None
    with pytest.raises(AttributeError, match="module 'convaudit' has no attribute 'audit_all'"):
        _ = convaudit.audit_all


def test_no_module_hides_a_public_name():
    """Importing ``convaudit.lint`` would put the module in the place of the function."""
    assert [name for name in convaudit.__all__ if is_module(f"convaudit.{name}")] == []


def test_type_checkers_see_the_same_public_names():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(convaudit.__all__) <= imported


OLD_FORMS = re.compile(r"^ *(?:Raises|Returns|Yields) +\S|^ *[\w*`,. ]*?\w`* {2,}\S", re.MULTILINE)
"""What no editor renders: ``Raises  Error if ...``, and names in a column of their own."""

TABLES = re.compile(r"^=+ =+$.*^=+ =+$", re.MULTILINE | re.DOTALL)
"""Tables of reStructuredText, which editors do render."""


def old_forms(source: str) -> list[str]:
    """What of a module's docstrings is not in Google style."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, documented)
    ]
    return [match.group() for text in texts for match in OLD_FORMS.finditer(TABLES.sub("", text))]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_in_google_style(path):
    assert old_forms(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Raises  LoadError if it is absent.", id="raises"),
        pytest.param("Returns the sum.\n    Returns  (N, C)", id="returns"),
        pytest.param("x        (N, C), of any layout", id="column"),
        pytest.param("x, weight   both of them", id="columns"),
    ],
)
def test_the_docstring_test_can_fail(text):
    assert old_forms(f'def f():\n    """Words.\n\n    {text}\n    """') != []
