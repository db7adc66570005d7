"""spark-mapreduce: the lecture's examples as Spark programs; results are judged, and bytes that were
shuffled.

A student's function makes a plan (``_spark_plans``); the judge runs it on its own simulated
cluster, where the trace counts every byte that a map task has written for others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from operator import add
from random import Random
from typing import Any

from labkit.runtime.cluster import Cluster
from labkit.runtime.copying import stream
from labkit.systems.spark import SparkContext

from ..answers import Answers, Wrong
from ..nodes import reported
from ..tasks import Case, Tasks, judge_prediction, same
from ..words import shown
from ._spark_plans import QUESTIONS, build

tasks = Tasks(
    "spark-mapreduce",
    order=4,
    formerly="04-mapreduce-on-rdds",
    questions=QUESTIONS,
    opens=["labkit.systems.spark", "labkit.parts"],
)

WORDS = (
    *("map", "reduce", "key", "value", "shuffle", "node", "lineage", "stage", "task", "cache"),
    *("join", "group", "sort", "split", "merge", "lost", "again", "never", "always"),
)
COUNTRIES = ("Austria", "Belgium", "Chile", "Denmark", "Egypt")

#: Partitions of each input.
PARTITIONS = 4

#: How many more bytes than the frugal program are forgiven.
FORGIVEN = 1.2


def run(answers: Answers, seed: int, function: str, *inputs: list[Any]) -> tuple[list[Any], int]:
    """What a student's program collects from these inputs, and the bytes that it shuffled."""
    cluster = Cluster(machines=2, engine="sim", seed=seed)
    with reported(answers, cluster), SparkContext(cluster) as sc:
        made = build(answers, function, *[sc.parallelize(each, PARTITIONS) for each in inputs])
        return made.collect(), shuffled(cluster)
    raise AssertionError("reported() raises")


def shuffled(cluster: Cluster) -> int:
    """Bytes that map tasks have written."""
    return sum(event.data["bytes"] for event in cluster.trace.filter(kind="outputs_stored"))


def frugal(seed: int, program: Any, *inputs: list[Any]) -> int:
    """The bytes that our program shuffles."""
    with Cluster(machines=2, engine="sim", seed=seed) as cluster, SparkContext(cluster) as sc:
        program(*[sc.parallelize(each, PARTITIONS) for each in inputs]).collect()
        return shuffled(cluster)


def _words(random: Random, count: int) -> str:
    return " ".join(random.choices(WORDS, [1 / (rank + 1) for rank in range(len(WORDS))], k=count))


def texts(random: Random, count: int = 24) -> list[str]:
    """Lines of words, a few of them frequent."""
    return [_words(random, random.randint(3, 12)) for _ in range(count)]


def shop(random: Random) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Many orders (customer, amount) of a few customers (customer, country); some customers order nothing."""
    names = [f"customer {number}" for number in range(8)]
    customers = [(name, random.choice(COUNTRIES)) for name in names]
    return [(random.choice(names[:6]), random.randrange(1, 100)) for _ in range(120)], customers


def count_words(lines: Any) -> Any:
    """Our word count."""
    return lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add)


def sum_by_country(orders: Any, customers: Any) -> Any:
    """Our join: each customer's orders are added up before they travel."""
    return (
        orders.reduceByKey(add).join(customers).values().map(lambda pair: (pair[1], pair[0])).reduceByKey(add)
    )


def _pairs(got: list[Any], function: str) -> dict[Any, Any]:
    for pair in got:
        if not isinstance(pair, tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise Wrong(f"{function} makes {shown(pair)}; a record must be a pair, and its key a word")
    if len({pair[0] for pair in got}) != len(got):
        twice = Counter(pair[0] for pair in got).most_common(1)[0][0]
        raise Wrong(f"{function} has several pairs with the key {twice!r:.80}")
    return dict(got)


def _compare(got: dict[Any, Any], wanted: dict[Any, Any], function: str) -> None:
    for key in [*wanted, *got]:
        if key not in wanted or not same(got.get(key), wanted[key]):
            must = f"it must be {shown(wanted[key])}" if key in wanted else "it must not be there"
            raise Wrong(f"{function} has {key!r:.80}: {shown(got.get(key))}; {must}")


@tasks.task("words", visible=(1, 2), hidden=4)
def words(answers: Answers, case: Case) -> None:
    """Word count: each word, and how often it occurs."""
    _words_counted(answers, case.seed, texts(case.random))


def _words_counted(answers: Answers, seed: int, lines: list[str]) -> int:
    """The bytes that a right word count shuffles."""
    got, took = run(answers, seed, "word_count", lines)
    _compare(_pairs(got, "word_count"), Counter(" ".join(lines).split()), "word_count")
    return took


@tasks.task("index", visible=(1, 2), hidden=4)
def index(answers: Answers, case: Case) -> None:
    """Inverted index: each word, and the sorted names of the documents that have it, each once."""
    documents = [(f"page {number}", text) for number, text in enumerate(texts(case.random, 12))]
    wanted: dict[str, list[str]] = defaultdict(list)
    for name, text in sorted(documents):
        for word in dict.fromkeys(text.split()):
            wanted[word].append(name)
    got, _ = run(answers, case.seed, "inverted_index", documents)
    _compare(_pairs(got, "inverted_index"), wanted, "inverted_index")


@tasks.task("join", visible=(1, 2), hidden=4)
def join(answers: Answers, case: Case) -> None:
    """A join: the sum of all orders of each country that ordered anything."""
    _joined(answers, case.seed, *shop(case.random))


def _joined(answers: Answers, seed: int, orders: list[Any], customers: list[Any]) -> int:
    """The bytes that a right sum of all orders shuffles."""
    wanted: Counter[str] = Counter()
    for customer, amount in orders:
        wanted[dict(customers)[customer]] += amount
    got, took = run(answers, seed, "revenue", orders, customers)
    _compare(_pairs(got, "revenue"), wanted, "revenue")
    return took


@tasks.task("bytes", visible=(1,), hidden=2)
def shuffled_bytes(answers: Answers, case: Case) -> None:
    """Results are right, and no more bytes are shuffled than needed: what can be combined, is before it
    travels."""
    lines, shopping = texts(case.random, 60), shop(case.random)
    for function, program, judged, inputs in (
        ("word_count", count_words, _words_counted, (lines,)),
        ("revenue", sum_by_country, _joined, shopping),
    ):
        took = judged(answers, case.seed, *inputs)
        least = frugal(case.seed, program, *inputs)
        if took > FORGIVEN * least:
            raise Wrong(
                f"{function} shuffled {took} bytes; {least} are enough if equal keys are combined first"
            )


@tasks.task("predict", visible=(), hidden=1)
def predict(answers: Answers, case: Case) -> None:
    """The predicted number of pairs."""
    judge_prediction(answers, "predicted_pairs", question)


def question(student: str) -> tuple[str, str, int]:
    """A question for one student: its text, its answer in words, and the number."""
    random = stream(0, tasks.drawn, "predict", str(student))
    parts = [random.choices("abcd", k=5) for _ in range(3)]
    shown = " | ".join(" ".join(part) for part in parts)
    counts = [len(set(part)) for part in parts]
    text = (
        f"Three partitions: {shown}. Words are counted with reduceByKey. How many pairs are "
        f"written for the shuffle?"
    )
    return text, f"{sum(counts)}: a map task writes one for each different word it has, {counts}", sum(counts)


def watch(answers: Answers, engine: str, seed: int = 1) -> list[str]:
    """The student's word count on an engine of your choice: the counts, and what was shuffled."""
    with (
        Cluster(machines=2, engine=engine, seed=seed, name="exercise") as cluster,
        SparkContext(cluster) as sc,
    ):
        lines = sc.parallelize(texts(stream(seed, "watch")), PARTITIONS)
        try:
            got = sorted(build_here(answers, "word_count", lines).collect())
        except Wrong as wrong:
            return [str(wrong)]
        return [f"{word:8} {count}" for word, count in got[:6]] + [f"{shuffled(cluster)} bytes shuffled"]


def build_here(answers: Any, function: str, *inputs: Any) -> Any:
    """As ``build``, with the functions themselves, which can travel to other processes."""
    found = answers.call_here(function, *inputs)
    if not hasattr(found, "collect"):
        raise Wrong(f"{function} is to return an RDD, not {found!r:.80}")
    return found
