"""Tables 1 to 5 of McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015: seconds.

Ours stand beside them in the lecture: other graphs, another computer; what carries over is the shape.
"""

from __future__ import annotations

from typing import Any

__all__ = ["COSTS", "GRAPHS", "SECONDS", "cost_in_paper", "table"]

#: Table 1: vertices, edges, gigabytes.
GRAPHS = {
    "twitter_rv": (41_652_230, 1_468_365_182, 5.76),
    "uk-2007-05": (105_896_555, 3_738_733_648, 14.72),
}

#: Tables 2 to 5: (problem, system, cores, seconds on twitter_rv, on uk-2007-05). None: not reported. The two
#: 8,000 of label propagation are lower bounds.
SECONDS: list[tuple[str, str, int, float | None, float | None]] = [
    ("pagerank20", "GraphChi", 2, 3160, 6972),
    ("pagerank20", "Stratosphere", 16, 2250, None),
    ("pagerank20", "X-Stream", 16, 1488, None),
    ("pagerank20", "Spark", 128, 857, 1759),
    ("pagerank20", "Giraph", 128, 596, 1235),
    ("pagerank20", "GraphLab", 128, 249, 833),
    ("pagerank20", "GraphX", 128, 419, 462),
    ("pagerank20", "single thread (SSD)", 1, 300, 651),
    ("pagerank20", "single thread (RAM)", 1, 275, None),
    ("pagerank20", "single thread, Hilbert order (SSD)", 1, 242, 256),
    ("pagerank20", "single thread, Hilbert order (RAM)", 1, 110, None),
    ("label propagation", "Stratosphere", 16, 950, None),
    ("label propagation", "X-Stream", 16, 1159, None),
    ("label propagation", "Spark", 128, 1784, 8000),
    ("label propagation", "Giraph", 128, 200, 8000),
    ("label propagation", "GraphLab", 128, 242, 714),
    ("label propagation", "GraphX", 128, 251, 800),
    ("label propagation", "single thread (SSD)", 1, 153, 417),
    ("union-find", "single thread (SSD)", 1, 15, 30),
]

#: What the paper says of COST itself: cores, or None for unbounded.
COSTS: dict[tuple[str, str], int | None] = {
    ("Naiad", "pagerank20"): 16,
    ("GraphLab", "pagerank20"): 512,
    ("GraphX", "pagerank20"): None,
    ("Naiad", "union-find"): 10,
}


def table(problem: str) -> Any:
    """A problem's rows as a DataFrame."""
    import pandas as pd

    rows = [row[1:] for row in SECONDS if row[0] == problem]
    if not rows:
        problems = dict.fromkeys(row[0] for row in SECONDS)
        raise ValueError(f"the paper has {', '.join(map(repr, problems))}, not {problem!r}")
    return pd.DataFrame(rows, columns=["system", "cores", *GRAPHS])


def cost_in_paper(problem: str, graph: str = "twitter_rv") -> list[str]:
    """The systems that beat the best single thread with what Tables 2 to 5 report for this problem."""
    column = 3 + list(GRAPHS).index(graph)
    rows = [row for row in SECONDS if row[0] == problem and row[column] is not None]
    alone = min(row[column] for row in rows if row[2] == 1)  # type: ignore[type-var]
    return [row[1] for row in rows if row[2] > 1 and row[column] < alone]  # type: ignore[operator]
