"""The input that every installation has."""

from __future__ import annotations

import sys

import pytest

from labkit.data import digits, import_graph, standard_library


@pytest.mark.slow
def test_the_import_graph_is_closed_sorted_and_right_where_we_know_it() -> None:
    graph = import_graph()
    assert list(graph) == sorted(graph)
    assert set(standard_library()) <= set(graph)
    assert all(names == sorted(set(names)) for names in graph.values())
    assert {name for names in graph.values() for name in names} <= set(graph)
    assert {"sys", "types"} <= set(graph["dataclasses"])
    assert graph["sys"] == [], "written in C: it has no text to import in"
    assert all(name not in names for name, names in graph.items()), "nobody imports itself"
    assert set(graph) <= set(sys.stdlib_module_names)


@pytest.mark.slow
def test_digits() -> None:
    images, labels = digits()
    assert (images.shape, images.dtype, labels.dtype) == ((1797, 64), "float64", "int64")
    assert (images.min(), images.max(), sorted(set(labels.tolist()))) == (0.0, 1.0, list(range(10)))
