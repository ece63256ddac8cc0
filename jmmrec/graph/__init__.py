"""Sparse graphs: normalisations, propagation, sampled edges, nearest-neighbour graphs."""

from jmmrec.graph.adjacency import NORMS, Adjacency, Bipartite, adjacency, bipartite, edge_values
from jmmrec.graph.clusters import Clusters, k_means
from jmmrec.graph.cooccurrence import UserGraph, user_graph, user_neighbours
from jmmrec.graph.dropped import drop_edges, drop_nodes, mask_edges, n_kept, scale_edges
from jmmrec.graph.edges import EdgeList, edge_list, keep_edges, pair_graph, sample_edges
from jmmrec.graph.learned import LearnedGraph, learned_graph, learned_smooth
from jmmrec.graph.lists import list_graph, list_pattern, nearest_lists
from jmmrec.graph.neighbours import item_graph, nearest, neighbour_lists, neighbours_of
from jmmrec.graph.pattern import Pattern, at_columns, edge_products, edge_softmax, pattern, turned
from jmmrec.graph.propagate import propagate, propagate_bipartite

__all__ = [
    "NORMS", "Adjacency", "Bipartite", "EdgeList", "adjacency", "bipartite", "edge_list", "edge_values", "item_graph",
    "LearnedGraph", "UserGraph", "learned_graph", "learned_smooth", "list_graph", "list_pattern", "nearest_lists",
    "Clusters", "drop_edges", "drop_nodes", "k_means", "mask_edges", "n_kept", "scale_edges",
    "neighbour_lists", "user_graph", "user_neighbours",
    "Pattern", "at_columns", "edge_products", "edge_softmax", "keep_edges", "nearest", "neighbours_of", "pair_graph",
    "pattern", "propagate", "propagate_bipartite", "sample_edges", "turned",
]  # fmt: skip
