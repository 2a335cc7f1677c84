"""Clusters for the tests of a module: they have threads in this process, which other modules are to be without."""

import logging
import os
from contextlib import contextmanager
from unittest.mock import patch

import pytest

N_WORKERS = 2


@contextmanager
def cluster_of_processes():
    distributed = pytest.importorskip("distributed")
    # a nanny sets OMP_NUM_THREADS=1 in this process too
    with (
        patch.dict(os.environ),
        distributed.LocalCluster(
            n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
    ):
        yield cluster


@contextmanager
def client_of(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=True) as client:
        client.wait_for_workers(N_WORKERS)
        yield client


@pytest.fixture(scope="module")
def cluster():
    with cluster_of_processes() as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """A client of the two workers."""
    with client_of(cluster) as client:
        yield client


@pytest.fixture
def own_client():
    """A client of two workers that no other test needs any more."""
    with cluster_of_processes() as cluster, client_of(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def one_worker():
    """A client of one worker, which is a thread of this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", set_as_default=False
    ) as client:
        yield client
