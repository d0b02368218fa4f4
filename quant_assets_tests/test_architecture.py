"""The wall between the halves: the library works without dagster, and each module says what lives in it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from quant_assets.gathered import GATHERED
from quant_assets.schemas import TABLES

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "quant_assets"
SHELL = ("defs", "cli", "definitions.py", "ui.py", "__main__.py")
IMPORT_WITHOUT_DAGSTER = """
import importlib, sys

class NoDagster:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dagster", "dagster_pandas", "dagster_shared", "dagster_graphql"):
            raise ImportError(f"{name} is not for the library")

sys.meta_path.insert(0, NoDagster())
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not [name for name in sys.modules if name.startswith("dagster")]
"""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def library() -> list[Path]:
    return [path for path in modules() if path.relative_to(PACKAGE).parts[0] not in SHELL]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Every module named by an import, at any depth of the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def lake_calls(path: Path, verb: str) -> Iterator[str]:
    """Table names written out in calls of `lake.<verb>`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == verb and node.args:
            owner, first = ast.unparse(node.func.value), node.args[0]
            if owner.endswith("lake") and isinstance(first, ast.Constant):
                yield first.value


def test_the_library_imports_without_dagster():
    names = [dotted(path) for path in library()]
    assert len(names) > 50
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_WITHOUT_DAGSTER, *names], capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr


def test_no_library_module_names_the_shell_or_dagster():
    """Imports inside functions too, which importing a module does not run."""
    forbidden = ("dagster", "dagster_pandas", "quant_assets.defs", "quant_assets.definitions", "quant_assets.cli", "quant_assets.ui")
    found = {
        f"{dotted(path)} imports {name}"
        for path in library()
        for name in imported(path)
        if f"{name}.".startswith(tuple(f"{n}." for n in forbidden))
    }
    assert not found


def test_no_source_asks_the_network_but_through_the_wire():
    """Budgets, retries, the audit and the hiding of keys hold for whoever goes through it."""
    network = ("requests", "urllib3", "urllib.request", "http.client", "httpx", "curl_cffi", "aiohttp", "socket", "websockets")
    found = {
        f"{dotted(path)} imports {name}"
        for path in sorted((PACKAGE / "sources").rglob("*.py"))
        if not path.name.startswith("over_")
        for name in imported(path)
        if f"{name}.".startswith(tuple(f"{n}." for n in network))
    }
    assert not found


def test_the_folder_of_the_tracking_server_is_no_package():
    """A Python package called mlflow in the checkout would shadow the installed one."""
    assert not (CHECKOUT / "mlflow" / "__init__.py").exists()


def test_every_module_opens_with_its_charter():
    assert not [dotted(path) for path in modules() if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))]


def test_every_table_that_is_read_or_written_is_declared_and_every_declared_one_is_written():
    written = {name for path in library() for name in lake_calls(path, "replace")}
    read = {name for path in library() for name in lake_calls(path, "scan")}
    assert written | set(GATHERED) == set(TABLES)  # one step writes all of those, under the name it is given
    assert read <= set(TABLES)
