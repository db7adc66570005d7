"""Hand-written runs of Spark, as its driver tells them. Four machines, an executor with one core on each.

Word count in two stages: `textFile → flatMap → map`, shuffle 0, `reduceByKey`; and iterations over
`points`, which are kept in memory.
"""

from __future__ import annotations

from typing import Any

Row = tuple[Any, ...]
MACHINES = ("m1", "m2", "m3", "m4")


class Story:
    """Events at a clock that the teller moves."""

    def __init__(self, cores: int = 1) -> None:
        self.rows: list[Row] = []
        self.now = 0.0
        self.task = 0
        for k, machine in enumerate(MACHINES):
            self.rows.append((0.0, machine, None, "machine_started", {}))
            self.rows.append(
                (0.0, machine, f"executor-{k}", "node_started", {"cls": "Executor", "events": "Spark"})
            )
            self.tell(
                "executor_registered", executor=f"executor-{k}", machine=machine, cores=cores, incarnation=1
            )

    def tell(self, kind: str, /, **data: Any) -> None:
        """An event of the driver."""
        self.rows.append((self.now, "client", "driver", kind, data))

    def rdd(self, number: int, op: str, parents: list[list[Any]], partitions: int = 4, **more: Any) -> None:
        """A new RDD."""
        site = f"cell 3:{number + 1}"
        words = {"kind": "MapPartitionsRDD", "name": None, "op": op, "site": site, "storage": None, **more}
        self.tell("rdd", rdd=number, partitions=partitions, parents=parents, **words)

    def stage(self, number: int, kind: str, rdds: list[int], parts: list[int], **more: Any) -> None:
        """A stage, or an attempt of one."""
        data = {"job": 0, "attempt": 0, "shuffle": None, "total": 4, "parents": [], **more}
        self.tell("stage_started", stage=number, kind=kind, rdd=rdds[-1], rdds=rdds, partitions=parts, **data)

    def start(
        self, stage: int, partition: int, machine: str, why: str = "first", computing: bool = True
    ) -> int:
        """A task begins, and has its inputs unless told otherwise."""
        self.task += 1
        executor = f"executor-{machine[1:]}".replace(machine[1:], str(int(machine[1:]) - 1))
        where = {"executor": executor, "machine": machine}
        more = {"attempt": 0, "locality": "any", "speculative": why == "speculative", "why": why}
        self.tell("task_started", task=self.task, stage=stage, partition=partition, **where, **more)
        if computing:
            data = {"task": self.task, "stage": stage, "partition": partition}
            self.rows.append((self.now, machine, executor, "task_running", data))
        return self.task

    def end(self, task: int, result: str = "ok", computed: Any = (), **more: Any) -> None:
        """A task ends."""
        started = next(row[4] for row in self.rows if row[3] == "task_started" and row[4]["task"] == task)
        data = {name: started[name] for name in ("task", "stage", "partition", "executor", "machine")}
        cost = {
            "seconds": 0.5,
            "records": 100,
            "fetched_local": 0,
            "fetched_remote": 0,
            "fetched": [],
            **more,
        }
        self.tell("task_finished", result=result, error=None, written=0, read=[],
                  computed=[list(pair) for pair in computed], **data, **cost)  # fmt: skip

    def output(self, shuffle: int, number: int, machine: str) -> None:
        """A map task's file."""
        where = {"executor": f"executor-{int(machine[1:]) - 1}", "machine": machine}
        self.tell("outputs_stored", shuffle=shuffle, map=number, bytes=1000, buckets=[250] * 4, **where)

    def block(self, rdd: int, number: int, machine: str, where: str = "memory") -> None:
        """A kept partition."""
        home = {"executor": f"executor-{int(machine[1:]) - 1}", "machine": machine}
        self.tell("block_stored", rdd=rdd, partition=number, where=where, bytes=2000, **home)

    def kill(self, machine: str) -> None:
        """The machine dies; nobody has noticed."""
        self.rows.append((self.now, machine, None, "killed", {}))

    def notice(self, machine: str) -> None:
        """The driver gives its executor up."""
        executor = f"executor-{int(machine[1:]) - 1}"
        self.tell("executor_lost", executor=executor, machine=machine, why="no heartbeat")

    def lose(self, machine: str, outputs: Any = (), blocks: Any = (), shuffle: int = 0) -> None:
        """What the driver says is gone with it."""
        where = {"executor": f"executor-{int(machine[1:]) - 1}", "machine": machine}
        for rdd, partition in blocks:
            self.tell("block_dropped", rdd=rdd, partition=partition, why="lost", **where)
        if outputs:
            self.tell("outputs_lost", shuffle=shuffle, maps=list(outputs), why="executor_lost", **where)


def word_count(until: str = "end") -> Story:
    """Four map tasks, a shuffle, four reduce tasks; m2 dies when two of these are done and two are waiting.

    `until`: "maps", "killed", "noticed", "recovering" or "end".
    """
    story = Story()
    story.rdd(0, "textFile", [], kind="HadoopRDD")
    story.rdd(1, "flatMap", [[0, "narrow", None]])
    story.rdd(2, "map", [[1, "narrow", None]])
    story.rdd(3, "reduceByKey", [[2, "wide", 0]], kind="ShuffledRDD")
    story.tell("job_started", job=0, rdd=3, action="collect", site="cell 3:5", stages=[0, 1])
    story.stage(0, "map", [0, 1, 2], [0, 1, 2, 3], shuffle=0)
    tasks = [story.start(0, p, machine) for p, machine in enumerate(MACHINES)]
    for p, (task, machine) in enumerate(zip(tasks, MACHINES, strict=True)):
        story.now = 1.0 + p / 100
        story.output(0, p, machine)
        story.end(task, computed=[(0, p), (1, p), (2, p)])
    story.tell("stage_finished", stage=0, attempt=0, ok=True, error=None)
    story.stage(1, "result", [3], [0, 1, 2, 3], parents=[0])
    if until == "maps":
        return story
    first = [story.start(1, p, machine) for p, machine in ((0, "m1"), (1, "m2"))]
    for p, task in enumerate(first):
        story.now = 2.0 + p / 100
        story.end(task, computed=[(3, p)], fetched_local=250, fetched_remote=750)
    story.now = 2.1
    late = [story.start(1, 2, "m3", computing=False), story.start(1, 3, "m2")]
    story.now = 2.5
    story.kill("m2")
    if until == "killed":
        return story
    story.now = 3.0
    story.notice("m2")
    story.end(late[1], "executor_lost")
    story.lose("m2", outputs=[1])
    if until == "noticed":
        return story
    story.end(late[0], "fetch_failed")
    story.stage(0, "map", [0, 1, 2], [1], shuffle=0, attempt=1)
    again = story.start(0, 1, "m3", "lost")
    if until == "recovering":
        return story
    story.now = 4.0
    story.output(0, 1, "m3")
    story.end(again, computed=[(0, 1), (1, 1), (2, 1)])
    story.tell("stage_finished", stage=0, attempt=1, ok=True, error=None)
    story.stage(1, "result", [3], [2, 3], attempt=1, parents=[0])
    last = [story.start(1, 2, "m1", "retry"), story.start(1, 3, "m4", "retry")]
    story.now = 5.0
    for p, task in zip((2, 3), last, strict=True):
        story.end(task, computed=[(3, p)], fetched_local=250, fetched_remote=750)
    story.tell("stage_finished", stage=1, attempt=1, ok=True, error=None)
    story.tell("job_finished", job=0, ok=True, error=None, seconds=5.0)
    return story


def iterations(storage: str | None = "memory", kill: bool = True) -> Story:
    """Three jobs over eight kept partitions of `points`; m2 dies between the second and the third."""
    story = Story()
    story.rdd(0, "textFile", [], 8, kind="HadoopRDD")
    story.rdd(1, "map", [[0, "narrow", None]], 8, name="points", storage=storage)
    homes = {p: MACHINES[p % 4] for p in range(8)}
    for job in range(3):
        if job == 2 and kill:
            story.kill("m2")
            story.now += 0.5
            story.notice("m2")
            story.lose("m2", blocks=[(1, 1), (1, 5)] if storage else [])
            homes.update({1: "m1", 5: "m3"})
        story.rdd(2 + job, "map", [[1, "narrow", None]], 8)
        story.tell("job_started", job=job, rdd=2 + job, action="reduce", site="cell 5:3", stages=[job])
        story.stage(job, "result", [0, 1, 2 + job], list(range(8)), job=job, total=8)
        for p in range(8):
            lost = job == 2 and kill and p in (1, 5)
            fresh = job == 0 or storage is None or lost
            task = story.start(job, p, homes[p])
            story.now += 0.1 if fresh else 0.02
            if fresh and storage:
                story.block(1, p, homes[p])
            made = [(0, p), (1, p), (2 + job, p)] if fresh else [(2 + job, p)]
            story.end(task, computed=made, seconds=0.1 if fresh else 0.02)
        story.tell("stage_finished", stage=job, attempt=0, ok=True, error=None)
        story.tell("job_finished", job=job, ok=True, error=None, seconds=1.0)
    return story
