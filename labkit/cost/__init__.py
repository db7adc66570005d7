"""COST: how many cores a system needs to beat one thread (McSherry, Isard and Murray, HotOS 2015).

    from labkit.cost import baseline, cost
    report = cost(ranks_on, cores=[1, 2], graph=graph, baseline=baseline("pagerank20"))
    print(report)

baselines   three programs on one thread, in plain Python, in NumPy and compiled
hilbert     the order of edges in which one thread runs faster
report      what ``cost`` returns, and how it is measured
meter       the same beside a run of any system: its seconds, its cores, and one thread's seconds
papers      Tables 1 to 5 of the paper
jobs        how large jobs are, and what one large computer costs (HotCDP 2012)
"""

from labkit.cost.baselines import KINDS, PROGRAMS, Baseline, baseline
from labkit.cost.meter import CostMeter
from labkit.cost.report import CostReport, OtherResult, cost

__all__ = ["KINDS", "PROGRAMS", "Baseline", "CostMeter", "CostReport", "OtherResult", "baseline", "cost"]
