"""The stubs say what the native module has."""

import ast
import inspect
from pathlib import Path

import godwit
from godwit import _native

STUBS = Path(godwit.__file__).parent / "_native.pyi"


def stubbed(tree):
    """Classes with their members, and functions."""
    classes, functions = {}, set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            members = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
            classes[node.name] = members
        elif isinstance(node, ast.FunctionDef):
            functions.add(node.name)
    return classes, functions


def test_stubs_name_each_native_class_function_and_member():
    classes, functions = stubbed(ast.parse(STUBS.read_text()))
    public = {name for name in vars(_native) if not name.startswith("_")}
    assert public == set(classes) | functions
    hidden = {"__new__", "__call__"}
    for name, members in classes.items():
        own = {m for m in vars(getattr(_native, name)) if not m.startswith("__")}
        assert own == members - hidden, name


def test_stubs_have_the_native_signatures():
    tree = ast.parse(STUBS.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.col_offset == 0:
            native = inspect.signature(getattr(_native, node.name))
            stated = [a.arg for a in node.args.args + node.args.kwonlyargs]
            assert list(native.parameters) == stated, node.name


def test_the_package_is_typed():
    assert (STUBS.parent / "py.typed").exists()
