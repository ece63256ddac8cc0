"""Sparse graphs: normalisations, propagation, sampled edges, nearest-neighbour graphs."""

from jmmrec.graph.adjacency import NORMS, Adjacency, Bipartite, adjacency, bipartite, edge_values
from jmmrec.graph.edges import EdgeList, edge_list, keep_edges, sample_edges
from jmmrec.graph.neighbours import item_graph, nearest, neighbours_of
from jmmrec.graph.propagate import propagate, propagate_bipartite

__all__ = [
    "NORMS", "Adjacency", "Bipartite", "EdgeList", "adjacency", "bipartite", "edge_list", "edge_values", "item_graph",
    "keep_edges", "nearest", "neighbours_of", "propagate", "propagate_bipartite", "sample_edges",
]  # fmt: skip
