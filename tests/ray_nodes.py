"""A real cluster of Ray on this machine, for tests."""

import contextlib

import pytest


@contextlib.contextmanager
def start_two_nodes():
    """Start a cluster of two nodes, each with one core and processes of its own; its ``second`` node may be removed."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        options = {"num_cpus": 1, "object_store_memory": 100 << 20}
        nodes = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
        nodes.second = nodes.add_node(**options)
        yield nodes
        nodes.shutdown()
