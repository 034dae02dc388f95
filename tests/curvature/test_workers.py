"""The same seed gives the same result, bit for bit, whoever evaluates the gradients."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest

import glasscurv as gc

TOY = gc.RandomHinges(20, 200, rng=0)
THETA = np.zeros(20)

ESTIMATES = {
    "estimate_curvature": lambda w: gc.estimate_curvature(
        TOY.gradient, THETA, 0.1, 9, rng=5, workers=w, second_length=0.01
    ),
    "glass_density_matrix": lambda w: gc.glass_density_matrix(TOY.gradient, THETA, 0.1, 2, workers=w),
    "directional_density": lambda w: vars(gc.directional_density(TOY.gradient, THETA, THETA + 1, 0.1, 9, workers=w)),
    "glass_density_diagonal": lambda w: gc.glass_density_diagonal(
        TOY.gradient, THETA, 0.1, (0.2, 0.4), 9, rng=5, workers=w
    ),
    "variation_exponent": lambda w: gc.variation_exponent(
        TOY.gradient, THETA, [0.05, 0.1, 0.2], samples=4, rng=5, workers=w
    ),
    "suggest_length": lambda w: gc.suggest_length(
        TOY.gradient, THETA, [0.05, 0.1, 0.15, 0.2, 0.3], samples=4, rng=5, workers=w
    ),
}


def numbers(result):
    """All numbers of a result, to be compared with ==."""
    if hasattr(result, "__dataclass_fields__"):
        return {field.name: numbers(getattr(result, field.name)) for field in fields(result)}
    if isinstance(result, dict):
        return {name: numbers(value) for name, value in result.items()}
    return repr(np.asarray(result).tolist())  # nan equals nan


@pytest.fixture(scope="module")
def dask_client():
    distributed = pytest.importorskip("distributed")
    # Workers in this process: fast to start, and functions still travel through Dask's own serialisation.
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("name", ESTIMATES)
def test_result_is_the_same_for_processes_and_threads(name):
    estimate = ESTIMATES[name]
    expected = numbers(estimate(1))
    with ThreadPoolExecutor(3) as pool:
        for workers in (2, map, pool.map):
            assert numbers(estimate(workers)) == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ESTIMATES)
def test_result_is_the_same_on_a_dask_cluster(name, dask_client):
    estimate = ESTIMATES[name]
    assert numbers(estimate(dask_client.map)) == numbers(estimate(1))


def test_a_gradient_that_cannot_be_sent_is_refused_in_plain_words(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    with pytest.raises(TypeError, match="with workers=2 the callable must be picklable to reach other processes"):
        gc.estimate_curvature(lambda theta: theta, THETA, workers=2, rng=0)


def test_errors_of_the_gradient_come_through_processes():
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient in sample 0, node -1"):
        gc.estimate_curvature(not_finite, THETA, workers=2, rng=0)


def not_finite(theta):
    return theta * np.inf if theta.any() else theta
