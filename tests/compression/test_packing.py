import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.compression import pack, quantize, unpack

LAYOUTS = {
    "all": lambda n: None,
    "strided": lambda n: {f"unit{j}": slice(j, n - n // 4, 3) for j in range(3)},
    "single": lambda n: {f"weight{j}": [j] for j in range(0, n, 2)},
    "shuffled": lambda n: {"some": np.random.default_rng(0).permutation(n)[: n // 2]},
}


@st.composite
def parameters(draw, least=1):
    """Parameters of which some are zeros, of either sign."""
    n = draw(st.integers(least, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    theta = rng.normal(size=n) * 10.0 ** draw(st.integers(-30, 30))
    theta[rng.random(n) < draw(st.sampled_from([0, 0.2, 0.8, 0.95, 1]))] = draw(st.sampled_from([0.0, -0.0]))
    return theta.astype(draw(st.sampled_from([np.float32, np.float64])))


def stored(arrays, description):
    """What a file gives back: bytes and JSON."""
    copies = {name: np.frombuffer(array.tobytes(), array.dtype) for name, array in arrays.items()}
    return copies, json.loads(json.dumps(description))


def same(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


# Without loss


@settings(max_examples=100, deadline=None)
@given(parameters(least=6), st.sampled_from(list(LAYOUTS)), st.sampled_from(["symmetric", "affine"]), st.data())
def test_unpacking_gives_back_every_bit_of_quantised_parameters(theta, layout, scheme, data):
    groups = LAYOUTS[layout](theta.size)
    bits = {name: data.draw(st.integers(2, 16)) for name in groups or ["all"]}
    rounded = quantize(theta, bits, groups, scheme)
    assert same(unpack(*stored(*pack(rounded.theta, rounded))), rounded.theta)


@settings(max_examples=100, deadline=None)
@given(parameters())
def test_unpacking_gives_back_every_bit_of_parameters_as_they_are(theta):
    arrays, description = stored(*pack(theta))
    assert same(unpack(arrays, description), theta)
    assert arrays["values"].nbytes + arrays["bits"].nbytes <= theta.nbytes


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("bits", range(2, 17))
def test_every_code_of_every_width_survives(bits, scheme):
    levels = 2 ** (bits - 1) - 1
    theta = np.arange(-levels, levels + 1) / 4
    rounded = quantize(theta, bits, scheme=scheme)
    assert np.unique(rounded.codes).size >= 2 * levels
    assert same(unpack(*pack(rounded.theta, rounded)), rounded.theta)


def test_the_units_of_a_network_survive_pruned_and_with_bits_of_their_own():
    network = gc.MLP((7, 9, 4))
    rng = np.random.default_rng(0)
    groups = network.weight_groups("unit")
    theta = network.initialize(0) * (rng.random(network.size) < 0.4)
    theta[groups["layer1/3"]] = 0  # a unit that is gone
    rounded = quantize(theta, {name: int(rng.integers(2, 9)) for name in groups}, groups)
    assert same(unpack(*stored(*pack(rounded.theta, rounded))), rounded.theta)


def test_parameters_on_no_grid_may_have_changed_since():
    network = gc.MLP((3, 4, 2))
    rounded = quantize(network.initialize(0), 4, network.weight_groups())
    tuned = rounded.theta.copy()
    tuned[network.groups["layer1"].stop - 1] = 0.125  # a bias
    assert same(unpack(*pack(tuned, rounded)), tuned)
    assert not same(tuned, rounded.theta)


def test_the_arguments_are_left_as_they_are_and_the_bytes_are_the_same_each_time():
    theta = np.where(np.arange(40) % 3, 0.0, np.linspace(-1, 1, 40))
    rounded = quantize(theta, 4, {"shuffled": np.random.default_rng(1).permutation(40)[:30]})
    before = rounded.theta.copy(), rounded.codes.copy(), rounded.groups["shuffled"].copy()
    arrays, description = pack(rounded.theta, rounded)
    again, described = pack(rounded.theta, rounded)
    assert description == described
    assert all(same(arrays[name], again[name]) for name in arrays.keys() | again.keys())
    assert all(map(same, before, (rounded.theta, rounded.codes, rounded.groups["shuffled"])))


# In few bytes


def test_dense_codes_take_their_bits_and_nothing_else():
    rounded = quantize(np.linspace(0.1, 1, 800), 5)
    arrays, _ = pack(rounded.theta, rounded)
    assert {name: array.nbytes for name, array in arrays.items()} == {"bits": 500, "scales": 8, "values": 0}


def test_a_few_zeros_are_codes_like_the_others_and_many_are_left_out():
    theta = np.random.default_rng(0).uniform(0.5, 1, 800)
    theta[::100] = 0
    rounded = quantize(theta, 4)
    assert pack(rounded.theta, rounded)[0]["bits"].nbytes == 400
    theta[np.random.default_rng(1).random(800) < 0.5] = 0
    kept = np.count_nonzero(theta)
    rounded = quantize(theta, 4)
    # with half of them kept the positions are a mask: a bit each, up to the last
    assert pack(rounded.theta, rounded)[0]["bits"].nbytes == math.ceil((np.flatnonzero(theta)[-1] + 1 + 4 * kept) / 8)


def test_an_empty_group_takes_no_bits():
    rounded = quantize(np.zeros(1000), 8)
    assert pack(rounded.theta, rounded)[0]["bits"].size == 0


@pytest.mark.parametrize("share", [0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.38, 0.5])
def test_independent_positions_come_within_5_percent_of_their_entropy(share):
    theta = np.zeros(100_000, np.float32)
    theta[np.random.default_rng(0).random(theta.size) < share] = 1
    kept = np.mean(theta)
    entropy = -(kept * np.log2(kept) + (1 - kept) * np.log2(1 - kept)) * theta.size
    # the positions' own entropy is below that of independent ones by less than 20 bits
    assert entropy - 20 < 8 * pack(theta)[0]["bits"].nbytes < 1.05 * entropy


# Trouble


def test_parameters_off_their_grid_are_refused():
    rounded = quantize([0.75, -0.3, 0.2, 0.0], bits=3)
    refusal = "theta must be that of quantized in its groups, got "
    with pytest.raises(ValueError, match=refusal + r"0\.2 for 0\.25 at index 2"):
        pack([*rounded.theta[:2], 0.2, 0.0], rounded)
    with pytest.raises(ValueError, match=refusal + r"-0\.0 for 0\.0 at index 3"):
        pack([*rounded.theta[:3], -0.0], rounded)
    with pytest.raises(ValueError, match=refusal + r"0\.75 for .* at index 0"):
        pack(rounded.theta, replace(rounded, codes=rounded.codes + 2))  # codes of more bits than there are


@pytest.mark.parametrize(
    ("theta", "exception", "message"),
    [
        ([1.0, 2.0], ValueError, r"theta must have shape \(3,\), as quantized.theta has, got \(2,\)"),
        ([1.0, np.nan, 2.0], ValueError, "theta must be finite, got nan at index 1"),
        (["1", "2", "3"], TypeError, "theta must be real numbers"),
    ],
)
def test_bad_parameters_are_refused(theta, exception, message):
    with pytest.raises(exception, match=message):
        pack(theta, quantize([1.0, 2.0, 3.0], 4))


def test_arrays_of_another_description_are_refused():
    rounded = quantize(np.linspace(-1, 1, 100), 4)
    arrays, description = pack(rounded.theta, rounded)
    with pytest.raises(ValueError, match="arrays must be those of the description, got 392 bits where 400 were packed"):
        unpack(arrays | {"bits": arrays["bits"][:-1]}, description)
    with pytest.raises(ValueError, match="got 0 values for 0 and 1 bytes besides"):
        unpack(arrays | {"bits": np.append(arrays["bits"], np.uint8(0))}, description)
    with pytest.raises(ValueError, match="got 3 values for 0 and 0 bytes besides"):
        unpack(arrays | {"values": np.ones(3)}, description)
