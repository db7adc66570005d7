"""Random schedules of faults: every file is what was written, and every record is there once."""

from __future__ import annotations

import random

import pytest

from labkit import Cluster, DiskLoss, Kill, Node, Pause, Restart, Resume, Slow
from labkit.parts.store import Files, FileSystem
from labkit.runtime import Duplicate, Fault, Loss

from .conftest import SCHEDULES, build

MACHINES = ("m1", "m2", "m3", "m4", "m5")
#: Seconds from one disturbance to the next: enough to find a machine dead and to make new copies.
APART = 5.0
DISTURBANCES = 4
CLIENTS = 3
#: Changes that each client makes, and seconds between two.
CHANGES, EVERY = 25, 0.6


def disturbances(seed: int) -> list[tuple[float, Fault]]:
    """Every five seconds something happens to a machine; m1 has the master, too."""
    draw = random.Random(seed)
    schedule: list[tuple[float, Fault]] = []
    if draw.random() < 0.5:
        schedule += [(0.3, Loss(draw.choice([0.01, 0.03]))), (0.3, Duplicate(draw.choice([0.05, 0.3])))]
    for number in range(DISTURBANCES):
        at = 0.5 + APART * number + draw.random()
        machine = draw.choice(MACHINES)
        back = at + draw.choice([0.05, 0.3, 1.5])
        what = draw.choice(["restart", "restart", "new disk", "pause", "slow"])
        if what == "restart":
            schedule += [(at, Kill(machine)), (back, Restart(machine))]
        elif what == "new disk" and machine != "m1":
            schedule += [(at, Kill(machine)), (at + 0.01, DiskLoss(machine)), (back, Restart(machine))]
        elif what == "slow":
            schedule += [(at, Slow(machine, 8)), (back, Slow(machine, 1))]
        else:
            schedule += [(at, Pause(machine)), (back, Resume(machine))]
    return schedule


class Clerk(Node):
    """Makes changes to files, its own and shared ones, and keeps a book of what must be there."""

    def __init__(self, settings: object) -> None:
        self.settings = settings
        self.book: dict[str, bytes] = {}
        self.records: list[bytes] = []
        self.deleted: list[str] = []
        self.done = False

    async def start(self) -> None:
        self.store = Files(self, self.settings)  # type: ignore[arg-type]
        for number in range(CHANGES):
            await self.change(number)
            await self.sleep(EVERY * self.random.random() * 2)
        self.done = True

    async def change(self, number: int) -> None:
        what = self.random.choice(["create", "replace", "rename", "delete", "append", "append", "read"])
        data = f"{self.name} {number} ".encode() * self.random.randrange(1, 300)
        if what == "append":
            record = f"<{self.name} {number}{'.' * self.random.randrange(0, 200)}>".encode()
            self.records.append(record)
            await self.store.append("log", record)
        elif what == "create" or not self.book:
            path = f"{self.name}/{number}"
            self.book[path] = data
            await self.store.create(path, data)
        else:
            path = self.random.choice(sorted(self.book))
            if what == "replace":
                await self.store.write(path, data)
                self.book[path] = data
            elif what == "rename":
                await self.store.rename(path, f"{self.name}/r{number}", exclusive=True)
                self.book[f"{self.name}/r{number}"] = self.book.pop(path)
            elif what == "delete":
                assert await self.store.delete(path) == 1
                del self.book[path]
                self.deleted.append(path)
            else:
                assert await self.store.read(path) == self.book[path]


def balanced(fs: FileSystem, clerks: list[Clerk]) -> None:
    """The files are those of the books, and the log has every record once."""
    expected = {path: data for clerk in clerks for path, data in clerk.book.items()}
    assert {path for path, _ in fs._list("")} - {"log"} == set(expected)
    for path, data in expected.items():
        assert fs.cat(path) == data, path
    written = sorted(record for clerk in clerks for record in clerk.records)
    log = fs.cat("log") if written else b""
    assert sorted(part + b">" for part in log.split(b">")[:-1]) == written


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_books_balance_under_any_schedule(seed: int) -> None:
    with Cluster(machines=[*MACHINES, "c"], engine="sim", seed=seed, schedule=disturbances(seed)) as cluster:
        fs = build(cluster, chunkservers=MACHINES)
        names = [cluster.spawn(Clerk, fs.settings, name=f"clerk{i}", machine="c") for i in range(CLIENTS)]
        cluster.run_until(lambda: all(cluster.peek(name).done for name in names), 300, every=1.0)
        cluster.run(APART)
        cluster.loss(0.0)
        fs.settle()
        report = fs.check()
        try:
            assert report.ok, report
            balanced(fs, [cluster.peek(name) for name in names])
        except BaseException as error:
            error.add_note(f"seed={seed}\n{cluster.schedule}")
            raise
