"""A function travels with its place: whatever pickles it, an error names the file, the line and the text."""

from __future__ import annotations

import linecache
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import pytest

from labkit.runtime import by_value
from labkit.runtime.copying import copy_value
from labkit.systems.paramserver import ParameterServer
from labkit.systems.spark import SparkContext, TaskFailed
from tests.engines import MakeCluster

CELL = "/tmp/ipykernel_4711/1234567890.py"
Cell = Callable[[str], dict[str, Any]]


@pytest.fixture
def cell() -> Iterator[Cell]:
    """Runs a notebook's cell: its text is where IPython leaves it, its names are the notebook's."""

    def run(source: str) -> dict[str, Any]:
        text = textwrap.dedent(source)
        linecache.cache[CELL] = (len(text), None, text.splitlines(keepends=True), CELL)
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(text, CELL, "exec"), names)
        return names

    yield run
    linecache.cache.pop(CELL, None)


def failure(function: Callable[[], Any]) -> str:
    """The traceback of its error."""
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    return "".join(traceback.format_exception(caught.value))


NESTED = """
    # the cell's first line is not the function's
    def outer():
        def inner():
            return 1 / 0  # the line at fault
        return [inner() for _ in range(1)]
"""


def test_in_another_process_an_error_shows_the_cells_lines(cell: Cell) -> None:
    program = (
        "import pickle, sys, traceback\n"
        "outer = pickle.load(sys.stdin.buffer)\n"
        "try: outer()\n"
        "except ZeroDivisionError: traceback.print_exc(file=sys.stdout)\n"
    )
    data = by_value.dumps(cell(NESTED)["outer"])
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True, env=_path()
    )
    said = done.stdout.decode()
    assert f'File "{CELL}", line 6, in outer\n    return [inner() for' in said
    assert f'File "{CELL}", line 5, in inner\n    return 1 / 0  # the line at fault' in said


def _path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path))}


def test_whatever_file_name_cloudpickle_gives_to_code(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    function = cell(NESTED)["outer"]
    code_type = type(function.__code__)
    reduce = cloudpickle.Pickler.dispatch_table[code_type]

    def nameless(code: Any) -> Any:
        return reduce(code.replace(co_filename="<dynamic-code>"))

    table = {**cloudpickle.Pickler.dispatch_table, code_type: nameless}
    monkeypatch.setattr(cloudpickle.Pickler, "dispatch_table", table)
    text = failure(copy_value(function))
    assert f'"{CELL}", line 5, in inner\n    return 1 / 0  # the line at fault' in text
    assert copy_value(function).__code__ == function.__code__
    assert copy_value(function).__qualname__ == "outer"


def test_the_lines_of_two_functions_of_a_file_stand_where_they_stood(cell: Cell) -> None:
    names = cell("def a():\n    return 1 / 0\n\n\nx = 3\ndef b():\n    return 2 / 0\n")
    data = [by_value.dumps(names[each]) for each in "ba"]
    del linecache.cache[CELL]
    b, a = map(cloudpickle.loads, data)
    assert linecache.getlines(CELL) == ["def a():\n", "    return 1 / 0\n", "\n", "\n", "\n", *B]
    assert "line 2, in a\n    return 1 / 0" in failure(a)
    assert "line 7, in b\n    return 2 / 0" in failure(b)


B = ["def b():\n", "    return 2 / 0\n"]


def test_the_pickles_size_does_not_depend_on_the_kernels_process_id() -> None:
    sizes = {
        len(by_value.dumps(eval(compile("lambda x: x", f"/tmp/ipykernel_{pid}/1234.py", "eval"))))
        for pid in (1, 4711, 123456)
    }
    assert len(sizes) == 1


# --- in each system, on both engines --------------------------------------------------------------------


def test_a_nodes_handler(make_cluster: MakeCluster, cell: Cell) -> None:
    names = cell("""
        from labkit import Node, rpc
        class Divider(Node):
            @rpc
            def divide(self, a, b):
                return a / b  # the line at fault
            @rpc
            async def apply(self, function):
                return function()
        by_zero = lambda: 1 / 0  # the function at fault
    """)
    cluster = make_cluster(machines=1)
    node = cluster.spawn(names["Divider"])
    with pytest.raises(ZeroDivisionError) as caught:
        cluster.call(node, "divide", 1, 0)
    assert f'"{CELL}", line 6, in divide\n    return a / b  # the line at fault' in str(
        caught.value.__cause__
    )
    with pytest.raises(ZeroDivisionError) as caught:
        cluster.call(node, "apply", names["by_zero"])
    assert f'"{CELL}", line 10, in <lambda>\n    by_zero = lambda: 1 / 0  #' in str(caught.value.__cause__)


def test_a_sparks_function(make_cluster: MakeCluster, cell: Cell) -> None:
    names = cell("""
        def half(x):
            return x / 0  # the line at fault
        def twice(x):
            return half(half(x))
    """)
    sc = SparkContext(make_cluster(machines=2))
    with pytest.raises(TaskFailed) as caught:
        sc.parallelize([1], 1).map(names["twice"]).collect()
    assert "1234567890.py:5 in twice: return half(half(x))" in str(caught.value)
    assert "1234567890.py:3 in half: return x / 0  # the line at fault" in str(caught.value)


def test_a_workers_program(make_cluster: MakeCluster, cell: Cell) -> None:
    names = cell("""
        async def program(worker):
            total = 0
            return 1 / total  # the line at fault
    """)
    ps = ParameterServer(make_cluster(machines=3), servers=1, workers=1, replicas=0)
    with pytest.raises(ZeroDivisionError) as caught:
        ps.run(names["program"], iterations=1)
    assert f'"{CELL}", line 4, in program\n    return 1 / total  # the line at fault' in str(
        caught.value.__cause__
    )
