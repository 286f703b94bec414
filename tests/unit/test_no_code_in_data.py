"""Nothing that is loaded can run code: no pickle anywhere, and tensors alone where torch loads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import ROOT

FOLDERS = ("src", "bench", "scripts", "launch")
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_YAML = {"load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}


def unsafe(source: str) -> Iterator[str]:
    """What in ``source`` could run code that lies in a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_call(call: ast.Call) -> Iterator[str]:
    name, given = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
    module, _, function = name.rpartition(".")
    if given.get("allow_pickle") not in (None, "False") or given.get("trust_remote_code") not in (None, "False"):
        yield ast.unparse(call)
    if module == "torch" and function == "load" and given.get("weights_only") != "True":
        yield ast.unparse(call)
    if module == "yaml" and (
        function in UNSAFE_YAML or (function == "load" and "SafeLoader" not in given.get("Loader", ""))
    ):
        yield ast.unparse(call)
    if name in ("eval", "exec", "builtins.eval", "builtins.exec") or name.endswith("read_pickle"):
        yield ast.unparse(call)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_that_is_read_can_run_code(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts]
    assert files
    assert {str(p.relative_to(ROOT)): bad for p in files if (bad := list(unsafe(p.read_text())))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "torch.load(path)", "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)", "yaml.load(text)", "yaml.unsafe_load(text)", "eval(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_a_way_to_run_code_is_found(source: str) -> None:
    assert list(unsafe(source))


def test_what_is_safe_is_left_alone(tmp_path: Path) -> None:
    assert list(unsafe("torch.load(p, weights_only=True); np.load(p); yaml.safe_load(t); model.eval()")) == []
