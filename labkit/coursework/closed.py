"""What of labkit a student's program may import while it is graded, and so read at all.

The judges, their solutions, and the systems hold the answers. So everything is closed but the runtime, the
trace, what a kernel needs itself, and what an exercise opens (``Tasks(opens=[...])``). The walls of the
process (``cage.py``) leave only the open files to be read; this module makes an import say so in a sentence.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Closed", "files", "is_open"]

#: Open with all that is below.
TREES = ("labkit.runtime", "labkit.trace", "labkit.show", "labkit.progress")
#: What a student's process needs of coursework: nothing in it judges.
OWN = (
    *("answers", "bridge", "cage", "closed", "exercise", "landlock", "nodes", "sandbox", "seccomp"),
    *("tasks", "values", "words"),
)
#: Packages of which only the first file is open.
ALONE = ("labkit", "labkit.coursework", "labkit.coursework.exercises")


def trees(opens: Iterable[str]) -> list[str]:
    """The modules that are open with all that is below them."""
    return [*TREES, *(f"labkit.coursework.{name}" for name in OWN), *opens]


def is_open(name: str, opens: Iterable[str]) -> bool:
    """Whether a module may be imported while an exercise is graded that opens these."""
    return name in ALONE or any(name == tree or name.startswith(f"{tree}.") for tree in trees(opens))


def files(opens: Iterable[str]) -> Iterator[Path]:
    """The files and folders of the open modules, with what Python has compiled of them."""
    root = Path(__file__).parents[2]
    for name in (*ALONE, *trees(opens)):
        path = root.joinpath(*name.split("."))
        if path.is_dir() and name not in ALONE:
            yield path
            continue
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        yield source
        yield from source.parent.glob(f"__pycache__/{source.stem}.*.pyc")


class Closed(MetaPathFinder, Loader):
    """Finds no closed module, and says so. Of a package of which a part is open it makes the part's door:
    the names that the open modules below it offer.
    """

    def __init__(self, exercise: str, opens: Sequence[str]) -> None:
        self.exercise = exercise
        self.opens = opens

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """None for what is not ours, or open."""
        if name.split(".")[0] not in ("labkit", "labkit_widgets") or is_open(name, self.opens):
            return None
        if not any(tree.startswith(f"{name}.") for tree in trees(self.opens)):
            raise self.refused(name)
        spec = ModuleSpec(name, self, is_package=True)
        spec.submodule_search_locations = [str(Path(__file__).parents[2].joinpath(*name.split(".")))]
        return spec

    def refused(self, name: str) -> ImportError:
        """The sentence."""
        return ImportError(f"{name} is closed while {self.exercise} is graded: answer without it", name=name)

    def create_module(self, spec: ModuleSpec) -> None:
        """Python makes it."""

    def exec_module(self, module: ModuleType) -> None:
        """A door has no code of its own."""

        def offered(wanted: str) -> Any:
            if wanted.startswith("__"):
                raise AttributeError(wanted)
            below = [each for each in trees(self.opens) if each.startswith(f"{module.__name__}.")]
            if f"{module.__name__}.{wanted}" not in sys.modules:
                for name in below:
                    if wanted in getattr(found := importlib.import_module(name), "__all__", ()):
                        return getattr(found, wanted)
            raise self.refused(f"{module.__name__}.{wanted}")

        module.__getattr__ = offered  # type: ignore[method-assign]
