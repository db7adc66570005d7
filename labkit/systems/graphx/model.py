"""The programming model of GraphX (OSDI 2014, §3; the programming guide of 2014): property graphs.

A graph is a directed multigraph, immutable, with an attribute for each vertex and each edge. Vertices have
ids of 64 bits. Every operation makes a new graph, which shares with the old what is the same.

    users = sc.parallelize([(1, "ada"), (2, "bob"), (3, "eve")])
    follows = sc.parallelize([Edge(1, 2, 7), Edge(3, 2, 4)])
    graph = Graph(users, follows, "nobody")
    graph.aggregateMessages(lambda t: t.sendToDst(t.attr), max).collect()          # [(2, 7)]

Names are those of Spark's Scala API; where that has two lists of arguments, as ``pregel(…)(…)``, there is one
here. A function marked by ``arrays`` is called with whole columns instead of one vertex or edge at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labkit.runtime.raised import short
from labkit.systems.spark import RDD, StorageLevel

from . import algorithms, neighbours
from .bytecode import fields_read
from .calls import check_fields, check_function, check_merge, check_rdd
from .context import settings_of
from .edge_partition import Sides
from .pregel import check_direction, pregel
from .rdds import EdgeRDD, MapEdges, VertexRDD, ZippedRDD, shuffled
from .replicated import ReplicatedView, aggregated
from .routing import Reversed, measured, routed_vertices
from .strategies import PartitionStrategy, strategy_of
from .structure import Build, Cut, FilterEdges, GroupEdges, MapTriplets, MaskEdges, TripletsOf, placed_edges
from .triplets import Arrays, EdgeDirection, TripletFields, arrays
from .writers import to_networkx, to_pandas

if TYPE_CHECKING:
    from labkit.parts.graphs.pagerank import PageRankVariant

__all__ = ["Graph"]


class Graph:
    """See the module's text.

    vertices: an RDD of pairs (id, attribute); of two with one id the first counts. edges: an RDD of ``Edge``
    or tuples (srcId, dstId, attribute). defaultVertexAttr: for vertices that only edges name."""

    def __init__(self, vertices: RDD, edges: RDD, defaultVertexAttr: Any = None) -> None:
        check_rdd("Graph", vertices, "vertices (id, attribute)")
        check_rdd("Graph", edges, "edges, Edge(srcId, dstId, attr)")
        if vertices.ctx is not edges.ctx:
            raise ValueError("Graph() needs vertices and edges of the same SparkContext")
        parts = edges.partitionsRDD if isinstance(edges, EdgeRDD) else edges._pipe(Build()).setName("edges")
        if not parts.getNumPartitions():  # of an empty RDD
            parts = edges.ctx.parallelize([], 1)._pipe(Build()).setName("edges")
        self._begin(routed_vertices(vertices, parts, defaultVertexAttr), ReplicatedView(parts))

    def _begin(
        self,
        vertices: VertexRDD,
        view: ReplicatedView,
        strategy: str = "",
        placement: Any = None,
        origin: Any = None,
    ) -> None:
        #: The vertices, as an RDD of pairs, and the edges.
        self.vertices = vertices
        self.edges = EdgeRDD(view.edges)
        self._view = view
        self._level: StorageLevel | None = None
        #: The vertex cut, if ``partitionBy`` made one; and what graphs have in common whose edges lie alike.
        self._strategy = strategy
        self._placement = view.edges if placement is None else placement
        self._origin = origin
        self._settings = settings_of(vertices.ctx)
        self.number = self._settings.new("graph")
        self._settings.graphs[self.number] = self

    def _like(self, vertices: VertexRDD, view: ReplicatedView, origin: Any = None) -> Graph:
        """A graph whose edges are where this one's are."""
        made: Graph = object.__new__(type(self))
        made._begin(vertices, view, self._strategy, self._placement, origin)
        return made

    @classmethod
    def fromEdges(cls, edges: RDD, defaultValue: Any) -> Graph:
        """A graph of edges alone; every vertex has the default value."""
        check_rdd("fromEdges", edges, "edges, Edge(srcId, dstId, attr)")
        return cls(edges.ctx.parallelize([], 1), edges, defaultValue)

    @classmethod
    def fromEdgeTuples(cls, rawEdges: RDD, defaultValue: Any, uniqueEdges: Any = None) -> Graph:
        """Of pairs (srcId, dstId). Edges have the attribute 1; with a strategy as ``uniqueEdges`` they are
        partitioned by it, and parallel ones become one with their number."""
        check_rdd("fromEdgeTuples", rawEdges, "pairs (srcId, dstId)")
        graph = cls.fromEdges(rawEdges.map(_edge_of_pair), defaultValue)
        if uniqueEdges is None:
            return graph
        return graph.partitionBy(uniqueEdges).groupEdges(lambda a, b: a + b)

    # --- what there is ----------------------------------------------------------------------------------

    @property
    def ctx(self) -> Any:
        """Its context."""
        return self.vertices.ctx

    @property
    def numVertices(self) -> int:
        """How many vertices."""
        return self.vertices.count()

    @property
    def numEdges(self) -> int:
        """How many edges."""
        return self.edges.count()

    @property
    def triplets(self) -> RDD:
        """An RDD of ``EdgeTriplet``: each edge with the attributes of its vertices."""
        return self._updated((True, True)).edges._pipe(TripletsOf())

    @property
    def inDegrees(self) -> VertexRDD:
        """How many edges come into each vertex that has any."""
        return self.aggregateMessages(arrays(_to_target), sum_of, TripletFields(False, False, False))

    @property
    def outDegrees(self) -> VertexRDD:
        """How many edges leave each vertex that has any."""
        return self.aggregateMessages(arrays(_to_source), sum_of, TripletFields(False, False, False))

    @property
    def degrees(self) -> VertexRDD:
        """How many edges each vertex has that has any; a loop counts twice."""
        return self.aggregateMessages(arrays(_to_both), sum_of, TripletFields(False, False, False))

    # --- keeping ----------------------------------------------------------------------------------------

    def persist(self, newLevel: StorageLevel = StorageLevel.MEMORY_ONLY) -> Graph:
        """Keep vertices, edges, and the replicas at the edges."""
        self._level = newLevel
        for rdd in self._parts():
            rdd.persist(newLevel)
        return self

    def cache(self) -> Graph:
        """Keep it in memory."""
        return self.persist()

    def unpersist(self, blocking: bool = False) -> Graph:
        """Keep nothing of it any longer."""
        self._level = None
        for rdd in self._parts():
            rdd.unpersist()
        return self

    def unpersistVertices(self, blocking: bool = False) -> Graph:
        """Keep the edges only: for loops that change the vertices' attributes each time."""
        self.vertices.unpersist()
        return self

    def _parts(self) -> list[RDD]:
        found = [self.vertices.partitionsRDD, self.edges.partitionsRDD, self._view.edges]
        return list({each.id(): each for each in found}.values())

    def measure(self) -> Any:
        """How it is cut, told to the trace: vertices, edges, replicas, and the size of each partition."""
        return measured(self)

    # --- attributes -------------------------------------------------------------------------------------

    def mapVertices(self, f: Callable[..., Any]) -> Graph:
        """With f(id, attribute) as attributes of the vertices."""
        return self._with_vertices(self.vertices.mapVertices(f))

    def mapEdges(self, f: Callable[..., Any]) -> Graph:
        """With f(edge) as attributes of the edges."""
        check_function("mapEdges", f, "edge")
        return self._like(self.vertices, self._view.mapped(MapEdges(f)))

    def mapTriplets(self, f: Callable[..., Any], tripletFields: TripletFields | None = None) -> Graph:
        """With f(triplet) as attributes of the edges."""
        check_function("mapTriplets", f, "triplet")
        view = self._updated(self._sides(tripletFields, f))
        return self._like(self.vertices, view.mapped(MapTriplets(f, view.sides)))

    def joinVertices(self, table: RDD, mapFunc: Callable[..., Any]) -> Graph:
        """With mapFunc(id, attribute, value in the table) for the vertices that are in it."""
        check_rdd("joinVertices", table)
        check_function("joinVertices", mapFunc, "id, attr, value")
        return self._with_vertices(self.vertices.joined(table, mapFunc, self._settings.options.index_reuse))

    def outerJoinVertices(self, other: RDD, mapFunc: Callable[..., Any]) -> Graph:
        """With mapFunc(id, attribute, value there or None) for every vertex."""
        check_rdd("outerJoinVertices", other)
        check_function("outerJoinVertices", mapFunc, "id, attr, value", OUTER_ARRAYS)
        return self._with_vertices(self.vertices.leftJoin(other, mapFunc))

    def _with_vertices(self, vertices: VertexRDD) -> Graph:
        return self._like(vertices, self._view)

    # --- structure --------------------------------------------------------------------------------------

    def partitionBy(
        self, partitionStrategy: PartitionStrategy | str, numPartitions: int | None = None
    ) -> Graph:
        """With the edges in the partitions that the strategy says."""
        strategy = strategy_of(partitionStrategy)
        parts = self._view.edges.getNumPartitions() if numPartitions is None else numPartitions
        cut = shuffled(self._view.edges._pipe(Cut(strategy, parts)).setName(f"cut by {strategy}"), parts)
        edges = cut._pipe(placed_edges).setName("edges")
        made: Graph = object.__new__(type(self))
        made._begin(
            routed_vertices(self.vertices, edges, None),
            ReplicatedView(edges),
            strategy.name,
            (strategy.name, parts),
        )
        return made

    def reverse(self) -> Graph:
        """With every edge the other way."""
        vertices = self.vertices._zip(Reversed())
        view = self._view.mapped(_reversed)
        same = view.of is self.vertices
        sides = (view.sides[1], view.sides[0])
        made = self._like(
            vertices,
            ReplicatedView(view.edges, sides if same else (False, False), vertices if same else None),
        )
        back = isinstance(self._placement, tuple) and self._placement[0] == "reversed"
        made._placement = self._placement[1] if back else ("reversed", self._placement)
        return made

    def subgraph(
        self, epred: Callable[..., Any] | None = None, vpred: Callable[..., Any] | None = None
    ) -> Graph:
        """The vertices for which vpred(id, attribute) is true, and the edges between them for which
        epred(triplet) is."""
        if vpred is not None:
            check_function("subgraph(vpred=…)", vpred, "id, attr")
        if epred is not None:
            check_function("subgraph(epred=…)", epred, "triplet")
        vertices = self.vertices if vpred is None else self.vertices.filter(_of_pair(vpred))
        active = None if vpred is None else vertices
        view = self._updated(self._sides(None, epred) if epred is not None else (False, False), active)
        view = view.mapped(FilterEdges(epred, view.sides, active is not None))
        kept = ReplicatedView(view.edges, view.sides, None if view.of is None else vertices)
        return self._like(vertices, kept, ("subgraph", self, epred, vpred))

    def mask(self, other: Graph) -> Graph:
        """The vertices and edges that the other graph has, too, with this graph's attributes. After
        ``partitionBy`` parallel edges lie together, and of these all are left if one is."""
        if not isinstance(other, Graph):
            raise TypeError(f"mask() needs a graph, not {short(other)}")
        if other._placement != self._placement and other._placement is not self._placement:
            raise ValueError(
                "mask() needs two graphs whose edges lie alike: one made from the other, or both after "
                f"partitionBy of the same strategy; these are {self!r} and {other!r}"
            )
        vertices = self.vertices.innerJoin(other.vertices, arrays(lambda ids, here, there: here))
        view = self._updated((False, False), vertices)
        edges = ZippedRDD([view.edges, other.edges.partitionsRDD], MaskEdges())
        return self._like(vertices, ReplicatedView(edges, view.sides, vertices), ("mask", self, other, None))

    def groupEdges(self, merge: Callable[[Any, Any], Any]) -> Graph:
        """With parallel edges made one. They must be in one partition: ``partitionBy`` comes first."""
        if not self._strategy:
            raise ValueError(
                "groupEdges() merges parallel edges of the same partition, and these edges are where they "
                'were given: call partitionBy first, graph.partitionBy("EdgePartition2D").groupEdges(…)'
            )
        check_merge("groupEdges", merge)
        return self._like(self.vertices, self._view.mapped(GroupEdges(merge)))

    # --- neighbourhoods ---------------------------------------------------------------------------------

    def aggregateMessages(
        self, sendMsg: Callable[..., Any], mergeMsg: Callable[[Any, Any], Any],
        tripletFields: TripletFields | None = None, activeSetOpt: tuple[VertexRDD, str] | None = None,
    ) -> VertexRDD:  # fmt: skip
        """Pairs of a vertex and its messages, merged; only of vertices that have any.

        sendMsg(context) sends by ``context.sendToDst(message)`` and ``sendToSrc``. tripletFields: what it
        reads; found in its byte code unless given. activeSetOpt: (vertices, ``EdgeDirection``): only edges
        whose ends of that direction are among these vertices are looked at."""
        check_function("aggregateMessages", sendMsg, "triplet")
        check_merge("aggregateMessages", mergeMsg)
        return self._aggregate(sendMsg, mergeMsg, tripletFields, _active(activeSetOpt), pairs=False)

    def mapReduceTriplets(
        self, mapFunc: Callable[..., Any], reduceFunc: Callable[[Any, Any], Any],
        activeSetOpt: tuple[VertexRDD, str] | None = None,
    ) -> VertexRDD:  # fmt: skip
        """The same, where mapFunc(triplet) returns pairs (id of one of its two vertices, message)."""
        check_function("mapReduceTriplets", mapFunc, "triplet")
        check_merge("mapReduceTriplets", reduceFunc)
        return self._aggregate(mapFunc, reduceFunc, None, _active(activeSetOpt), pairs=True)

    def _aggregate(
        self, send: Any, merge: Any, fields: Any, active: Any, pairs: bool, at_once: bool = False
    ) -> VertexRDD:
        who, direction = (None, None) if active is None else active
        view = self._updated(self._sides(fields, send), who, at_once)
        settings = self._settings
        return aggregated(
            view, self.vertices, send, merge, direction, pairs, settings.options, settings.shipment
        )

    def collectNeighborIds(self, edgeDirection: str) -> VertexRDD:
        """A list of the ids of each vertex's neighbours, in order; a parallel edge counts again."""
        return neighbours.collect_ids(self, edgeDirection)

    def collectNeighbors(self, edgeDirection: str) -> VertexRDD:
        """A list of (id, attribute) of each vertex's neighbours, by id."""
        return neighbours.collect(self, edgeDirection)

    def pregel(
        self, initialMsg: Any, vprog: Callable[..., Any], sendMsg: Callable[..., Any],
        mergeMsg: Callable[[Any, Any], Any], maxIterations: int | None = None,
        activeDirection: str = EdgeDirection.Either,
    ) -> Graph:  # fmt: skip
        """Think like a vertex: vprog(id, attribute, merged messages) of the vertices that have messages, then
        sendMsg(triplet) of the edges of these, which returns pairs (id, message); until there are none.

        activeDirection: which end of an edge must have had a message. Marked by ``arrays``, vprog gets
        columns, and sendMsg sends by its argument."""
        return pregel(self, initialMsg, vprog, sendMsg, mergeMsg, maxIterations, activeDirection)

    # --- algorithms -------------------------------------------------------------------------------------

    def staticPageRank(
        self, numIter: int, resetProb: float = 0.15, variant: PageRankVariant | None = None
    ) -> Graph:
        """Ranks after so many iterations, beginning with 1, in PowerGraph's definition unless another is
        given; edges have the part of their source's rank that they carry."""
        return algorithms.static_page_rank(self, numIter, resetProb, variant)

    def pageRank(self, tol: float, resetProb: float = 0.15) -> Graph:
        """Ranks of which none changes by more than ``tol`` any longer."""
        return algorithms.page_rank(self, tol, resetProb)

    def connectedComponents(self, maxIterations: int | None = None) -> Graph:
        """Vertices have the smallest id of their component, edges in either direction."""
        return algorithms.connected_components(self, maxIterations)

    def stronglyConnectedComponents(self, numIter: int | None = None) -> Graph:
        """Vertices have the smallest id of their strongly connected component."""
        return algorithms.strongly_connected_components(self, numIter)

    def triangleCount(self) -> Graph:
        """Vertices have the number of triangles they are in, whatever the edges' directions."""
        return algorithms.triangle_count(self)

    def labelPropagation(self, maxSteps: int) -> Graph:
        """Vertices have the label that is most frequent among their neighbours, beginning with their ids."""
        return algorithms.label_propagation(self, maxSteps)

    def shortestPaths(self, landmarks: list[int]) -> Graph:
        """Vertices have a dictionary of hops to each landmark that they can reach."""
        return algorithms.shortest_paths(self, landmarks)

    # --- hand-over --------------------------------------------------------------------------------------

    def toPandas(self) -> tuple[Any, Any]:
        """Two frames: vertices (id, attr) and edges (src, dst, attr)."""
        return to_pandas(self)

    def toNetworkX(self) -> Any:
        """A ``MultiDiGraph`` whose vertices and edges have their attribute as ``attr``."""
        return to_networkx(self)

    # --- the join site ----------------------------------------------------------------------------------

    def _sides(self, fields: TripletFields | None, *functions: Any) -> Sides:
        check_fields(fields)
        return (fields_read(*functions) if fields is None else fields).sides

    def _updated(
        self, sides: Sides, active: VertexRDD | None = None, at_once: bool = False
    ) -> ReplicatedView:
        """The view at the edges, up to date. It stays for the next who asks, but without the active set: that
        is of the caller's functions, and if one of them fails, this graph must not.

        at_once: in a loop, whose graphs nobody else has, one shuffle is for both."""
        settings = self._settings
        telling = settings.options, settings.shipment
        view = self._view.updated(self.vertices, sides, *telling, active if at_once else None)
        if view is not self._view:
            if self._level is not None:
                view.edges.persist(self._level)
            self._view = view
        return view if active is None or at_once else view.updated(self.vertices, sides, *telling, active)

    def __repr__(self) -> str:
        cut = self._strategy or "edges as given"
        return f"<Graph {self.number}: {self._view.edges.getNumPartitions()} edge partitions, {cut}>"


#: What a function of arrays gets where some vertices have no value.
OUTER_ARRAYS = "ids, attrs, there, has"


def _active(given: Any) -> Any:
    """An active set. Raises ``TypeError`` and ``ValueError``."""
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) != 2 or not isinstance(given[0], VertexRDD):
        raise TypeError(
            f"activeSetOpt={short(given)}: write (vertices, EdgeDirection.Out), with vertices of a graph, "
            "perhaps graph.vertices.filter(…)"
        )
    check_direction(given[1])
    return given


def _edge_of_pair(pair: Any) -> Any:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            f"{short(pair)} is no pair (srcId, dstId); edges that have an attribute are for "
            "Graph.fromEdges(edges, default)"
        )
    return (*pair, 1)


def sum_of(a: Any, b: Any) -> Any:
    return a + b


def _to_target(t: Any) -> None:
    t.sendToDst(1)


def _to_source(t: Any) -> None:
    t.sendToSrc(1)


def _to_both(t: Any) -> None:
    t.sendToSrc(1)
    t.sendToDst(1)


def _reversed(p: int, mine: list[Any]) -> Any:
    return mine[0].reversed()


def _of_pair(vpred: Callable[..., Any]) -> Callable[..., Any]:
    return vpred if isinstance(vpred, Arrays) else (lambda pair: vpred(*pair))
