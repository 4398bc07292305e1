"""SECURITY.md is held to: its tests exist, and the source has no way to execute what it reads."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for folder in ("gato_data", "schemas", "pipelines", "cli", "trainer")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
STATEMENTS = re.findall(r"^\| (.+?) \| `(.+?)` \|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
MODULES_THAT_EXECUTE = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml"}
CALLS_THAT_EXECUTE = {"eval", "exec", "compile", "__import__"}


def test_statements_are_found() -> None:
    assert len(STATEMENTS) >= 20


@pytest.mark.parametrize("test", [test for _, test in STATEMENTS])
def test_every_statement_has_its_test(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert name in names


def dangerous(tree: ast.AST) -> list[str]:
    """What in a module could execute what it reads."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES_THAT_EXECUTE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES_THAT_EXECUTE:
            found.append(node.module or "")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if name in CALLS_THAT_EXECUTE or name in ("os.system", "os.popen", "torch.load", "pd.read_pickle"):
                found.append(name)
            if options.get("allow_pickle", "False") != "False" or options.get("shell", "False") != "False":
                found.append(ast.unparse(node))
    return found


def test_nothing_is_unpickled_or_executed() -> None:
    assert len(MODULES) > 100
    found = {str(path.relative_to(ROOT)): dangerous(ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES}
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from yaml import load", "eval(x)", "np.load(f, allow_pickle=True)", "run(x, shell=True)"],
)
def test_what_is_dangerous_is_found(code: str) -> None:
    assert dangerous(ast.parse(code))
