"""Latent groups: found where they are, permuted too, and nowhere else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convaudit.linting.groups import components, latent_groups
from tests.linting.layers import examined, weight


def blocks(*sizes):
    """(out, in) of blocks along the diagonal."""
    mask = np.zeros([sum(size[axis] for size in sizes) for axis in (0, 1)], bool)
    row = column = 0
    for high, wide in sizes:
        mask[row : row + high, column : column + wide] = True
        row, column = row + high, column + wide
    return mask


def shuffled(mask, seed=0):
    rng = np.random.default_rng(seed)
    return mask[rng.permutation(mask.shape[0])][:, rng.permutation(mask.shape[1])]


FOUND = [
    pytest.param(blocks((2, 3), (2, 3)), 2, id="two"),
    pytest.param(blocks(*[(2, 1)] * 8), 8, id="depthwise"),
    pytest.param(blocks((1, 1), (3, 3), (2, 2), (2, 2)), 2, id="unequal"),
    pytest.param(blocks((3, 2), (1, 2), (4, 4)), 2, id="unequal-shapes"),
    pytest.param(blocks((2, 2), (0, 1), (1, 2), (1, 1)), 2, id="filled-up"),
    pytest.param(blocks((1, 1), (5, 5), (2, 2)), 1, id="too-large"),
    pytest.param(blocks((3, 3), (2, 2)), 1, id="nothing-divides"),
    pytest.param(blocks((4, 4)), 1, id="dense"),
    pytest.param(blocks((2, 2), (2, 0), (0, 2)), 1, id="one-block-of-a-mostly-zero-layer"),
    pytest.param(np.zeros((4, 4), bool), 1, id="all-zero"),
]


@pytest.mark.parametrize("order", ["as it stands", "shuffled"])
@pytest.mark.parametrize(("mask", "groups"), FOUND)
def test_groups_are_found(mask, groups, order):
    mask = shuffled(mask) if order == "shuffled" else mask
    latent = latent_groups(mask[None])
    assert (latent.groups if latent else 1) == groups
    if latent is None:
        return
    assert sorted(latent.outputs.tolist()) == list(range(mask.shape[0]))
    assert sorted(latent.inputs.tolist()) == list(range(mask.shape[1]))
    left = mask.copy()
    for outputs, inputs in latent.blocks():
        left[np.ix_(outputs, inputs)] = False
    assert not left.any()


def test_channels_that_stand_so_already_are_left_so():
    mask = blocks((1, 1), (3, 3), (2, 2), (2, 2))
    assert latent_groups(mask[None]).in_order
    assert not latent_groups(mask[::-1][None]).in_order


def test_groups_of_a_grouped_layer_hide_as_many_each():
    pair = np.stack([blocks((2, 2), (2, 2)), shuffled(blocks((2, 2), (2, 2)), 3)])
    assert latent_groups(pair).groups == 4
    assert latent_groups(np.stack([pair[0], np.ones((4, 4), bool)])) is None
    uneven = np.stack([pair[0], shuffled(blocks((1, 1), (1, 1), (1, 1), (1, 1)), 5)])
    assert latent_groups(uneven).groups == 4, "four and two blocks a group: two are common"


def test_depthwise_layers_have_no_groups_to_hide():
    assert latent_groups(np.ones((6, 1, 1), bool)) is None
    assert latent_groups(np.eye(6, dtype=bool)[:, :, None]) is None


def labels_by_merging(mask):
    """The same components by brute force."""
    groups = [({row}, set(np.flatnonzero(mask[row]).tolist())) for row in range(len(mask)) if mask[row].any()]
    for _ in mask:
        for one, other in itertools.combinations(list(groups), 2):
            if one[1] & other[1] and one in groups and other in groups:
                groups.remove(other)
                one[0].update(other[0])
                one[1].update(other[1])
    return sorted((sorted(rows), sorted(columns)) for rows, columns in groups)


@pytest.mark.parametrize("few", [pytest.param(8, id="edges"), pytest.param(-1, id="search")])
@pytest.mark.parametrize("seed", range(30))
def test_components_are_those_of_the_graph(seed, few, monkeypatch):
    monkeypatch.setattr("convaudit.linting.groups._FEW", few)
    rng = np.random.default_rng(seed)
    mask = rng.random((2, *rng.integers(2, 12, 2))) < rng.choice([0.05, 0.12, 0.3])
    expected = [labels_by_merging(part) for part in mask]
    found = components(mask)
    if found is None:
        assert min(map(len, expected)) < 2
        return
    for at, parts in enumerate(expected):
        labels = range(int(found.counts[at]))
        assert parts == sorted(
            (
                np.flatnonzero(found.outputs[at] == label).tolist(),
                np.flatnonzero(found.inputs[at] == label).tolist(),
            )
            for label in labels
        )


@pytest.mark.parametrize("few", [pytest.param(8, id="edges"), pytest.param(-1, id="search")])
def test_a_long_path_is_one_component(few, monkeypatch):
    monkeypatch.setattr("convaudit.linting.groups._FEW", few)
    path = np.eye(300, dtype=bool)
    path |= np.roll(path, 1, axis=1)
    path[-1, 0] = False
    assert components(shuffled(path)[None]) is None
    path[150] = np.arange(300) == 150  # no longer joined with the next one
    assert components(shuffled(path)[None]).counts.tolist() == [2]


def test_many_components_that_fit_nowhere_end_in_time():
    """Of 2 and 3 channels in turn: as many blocks as divide the channels are tried, not all orders."""
    sizes = [(2, 2), (3, 3)] * 400
    assert latent_groups(shuffled(blocks(*sizes))[None]) is not None


def test_a_claim_names_the_elements_between_the_groups():
    mask = shuffled(blocks((2, 3), (2, 3)))
    facts = examined(weight(4, 6, 3, 3) * mask[:, :, None, None])
    (claim,) = facts.claims
    assert claim.rule == "CA204"
    named = np.zeros((4, 6), int)
    for region in claim.regions:
        named[np.ix_(region.outputs, region.inputs)] += 1
    assert (named == ~mask).all()
    assert facts.latent.groups == 2
    assert "once its channels are reordered" in claim.message


def test_a_claim_of_a_grouped_transposed_layer_counts_inputs_over_all_groups():
    mask = np.stack([blocks((1, 2), (1, 2)), blocks((1, 2), (1, 2))])  # (groups, out/groups, in/groups)
    array = weight(8, 2, 3) * mask.swapaxes(1, 2).reshape(8, 2)[:, :, None]
    (claim,) = examined(array, transposed=True, groups=2).claims
    assert "groups=2 hides groups=4" in claim.message
    assert [(region.outputs, region.inputs) for region in claim.regions] == [
        ((0,), (2, 3)),
        ((1,), (0, 1)),
        ((2,), (6, 7)),
        ((3,), (4, 5)),
    ]
