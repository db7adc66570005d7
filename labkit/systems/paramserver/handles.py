"""What the user of a parameter server holds: vectors, namespaces, and pushes and pulls under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.runtime.cluster import Operation
from labkit.runtime.errors import RunOver
from labkit.runtime.node import Node

from .updates import Array
from .vectors import VectorSpec, as_keys, as_push, own_array

__all__ = ["Namespace", "Pending", "Vector"]


class Pending:
    """A push or pull under way; ``after=`` takes it."""

    def __init__(
        self, ps: Any, operation: Operation, finish: Callable[[Any], Any] = lambda value: value
    ) -> None:
        self._ps = ps
        self._operation = operation
        self._finish = finish

    @property
    def done(self) -> bool:
        """Whether it has been answered."""
        return self._operation.done

    def result(self, timeout: float | None = None) -> Any:
        """Wait for it: the values of a pull, None of a push. Warns once of parameters that were lost."""
        value = self._finish(self._operation.result(timeout))
        self._ps._tell_of_lost()
        return value


class Vector:
    """A vector as the user holds it. Its keys are ordered; one that was never pushed has the value 0.

    In a worker's program it is only a name: ``worker.pull(w, keys)``, ``worker.push(w, keys, values)``.
    """

    def __init__(self, ps: Any, spec: VectorSpec) -> None:
        self._made_by = ps
        self.spec = spec

    @property
    def _ps(self) -> Any:
        """Its parameter server. Raises ``RunOver`` if that was reset."""
        if self._made_by._vectors.get(self.name) is not self:
            raise RunOver(
                f"the parameter server was reset, and this vector {self.name!r} is of the run before; "
                f"make it again: ps.vector({self.name!r}, ...)"
            )
        return self._made_by

    def __reduce__(self) -> Any:
        return _the_same, (self.spec,)

    @property
    def name(self) -> str:
        """Its name, with those of its namespaces."""
        return self.spec.name

    def __len__(self) -> int:
        return self.spec.size

    def push(self, keys: Any, values: Any = None, after: Any = (), dest: Any = None) -> Pending:
        """Have the servers' update function combine ``values`` with the parameters.

        keys: None (all), a slice, a range, or whole numbers; with a SciPy sparse row as ``values``, None.
        after: what must be done before. dest: only to these servers (a name, or several); all by default.
        """
        wanted, numbers = as_push(self.spec, keys, values)
        numbers = own_array(numbers)  # before anybody waits: the program goes on
        before = _futures(after)
        to = (dest,) if isinstance(dest, str) else dest
        scheduler = self._ps.scheduler

        async def program(_: Node) -> None:
            await scheduler.client.push(self.spec, wanted, numbers, after=before, to=to)

        return Pending(self._ps, self._ps._submit(program))

    def pull(self, keys: Any = None, after: Any = ()) -> Pending:
        """The values of some keys, in their order. keys: as for ``push``."""
        wanted, in_order = as_keys(self.spec, keys)
        before = _futures(after)
        scheduler = self._ps.scheduler

        async def program(_: Node) -> Array:
            return await scheduler.client.pull(self.spec, wanted, after=before)

        return Pending(self._ps, self._ps._submit(program), in_order)

    def __getitem__(self, keys: Any) -> Any:
        return self.pull(keys).result()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.pull().result(), dtype=dtype)

    def items(self) -> tuple[Array, Array]:
        """Keys and values of everything the servers keep: for a sparse vector, of what was pushed."""
        parts = self._ps._contents(self)
        keys = [np.arange(*p.keys) if isinstance(p.keys, tuple) else p.keys for p in parts]
        return np.concatenate(keys), np.concatenate([part.values for part in parts])

    def to_scipy(self) -> Any:
        """The vector as a SciPy sparse row (needs SciPy)."""
        from scipy.sparse import csr_array

        keys, values = self.items()
        there = values != 0
        keys, values = keys[there], values[there]
        return csr_array((values, (np.zeros(len(keys), np.int64), keys)), shape=(1, self.spec.size))

    def norm(self, order: float = 2) -> float:
        """‖w‖ of this order."""
        return float(np.linalg.norm(self.items()[1], order))

    def dot(self, other: Any) -> float:
        """Its inner product with an array, a SciPy sparse row, or another vector."""
        if isinstance(other, Vector):
            keys, values = other.items()
        else:
            wanted, values = as_push(VectorSpec(self.name, self.spec.size, finite=False), None, other)
            keys = np.arange(*wanted) if isinstance(wanted, tuple) else wanted
        return float(self[keys] @ values)

    def __repr__(self) -> str:
        kind = "sparse" if self.spec.sparse else "dense"
        return f"<{kind} vector {self.name!r} of {self.spec.size} keys, {self.spec.update!r}>"


def _the_same(spec: VectorSpec) -> VectorSpec:
    return spec


def _futures(after: Any) -> list[Any]:
    several = [after] if isinstance(after, Pending) else list(after)
    return [each._operation.future for each in several]


class Namespace:
    """Names of its own: ``ps.namespace("model").vector("w")`` is the vector ``"model/w"``."""

    def __init__(self, ps: Any, prefix: str) -> None:
        self._ps = ps
        self.prefix = prefix

    def vector(self, name: str, size: int | None = None, **options: Any) -> Vector:
        """See ``ParameterServer.vector``."""
        return self._ps.vector(f"{self.prefix}/{name}", size, **options)

    def namespace(self, name: str) -> Namespace:
        """One inside this one."""
        return Namespace(self._ps, f"{self.prefix}/{name}")
