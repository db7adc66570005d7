"""HaLoop (Bu, Howe, Balazinska, Ernst, VLDB 2010): MapReduce with a loop in it.

Begin with ``model.py``, the programming model. ``job.py`` is the user program, ``nodes/`` has the master
with the loop control and the loop-aware scheduler, and the worker with its caches (``caches.py``);
``programs.py`` has the paper's applications. All else is ``labkit.systems.mapreduce``."""

from .job import HaLoop, LoopJob
from .options import CACHES
from .programs import descendants, file_of, kmeans, pagerank
from .single import run_locally

__all__ = ["CACHES", "HaLoop", "LoopJob", "descendants", "file_of", "kmeans", "pagerank", "run_locally"]
