"""The tree of a model's blocks: what names tell, and sums that add up."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import pytest

from convaudit.analyzer import analyze
from convaudit.analyzer.blocks import DEEPEST, BlockCost, blocks, path_of
from convaudit.formulas import symbol
from convaudit.records import AuditReport, Branch, OtherLayer, TensorInfo
from tests.networks import conv_layer, network

SUMS = ("layers", "others", "params", "macs", "macs_at_least", "dense_macs")


def other(name: str = "fc", **changes: object) -> OtherLayer:
    fields = {"op": "Gemm", "params": 12, "macs": 10, "weight_name": f"{name}.weight", **changes}
    return OtherLayer(name=name, **fields)  # type: ignore[arg-type]


def report_of(*names: str, others: tuple[OtherLayer, ...] = (), **changes: object) -> AuditReport:
    layers = [conv_layer(name, 6, 6, (3, 3), (8, 8), **changes) for name in names]
    return replace(analyze(network(*layers)), other_layers=others)


def shown(report: AuditReport) -> list[str]:
    return ["  " * (block.depth - 1) + block.label for block in blocks(report, {})[1:]]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("layer1.0.conv1", ("layer1", "0", "conv1")),
        ("/layer1/layer1.0/conv1/Conv", ("layer1", "0", "conv1", "Conv")),
        ("/features/features.1/conv/conv.0/conv.0.0/Conv", ("features", "1", "conv", "0", "0", "Conv")),
        ("model/block_1/Conv2D", ("model", "block_1", "Conv2D")),
        ("/blocks.0/blocks.0.1/Conv", ("blocks", "0", "1", "Conv")),
        ("", ("",)),
        ("///", ("///",)),
        ("..a..", ("a",)),
    ],
)
def test_a_name_is_a_path(name: str, path: tuple[str, ...]) -> None:
    assert path_of(other(name, weight_name=None)) == path


def test_a_name_without_parts_takes_those_of_its_weight() -> None:
    assert path_of(other("node_Gemm_7", weight_name="head.fc.weight")) == ("head", "fc")


def test_blocks_with_one_child_are_one_with_it() -> None:
    report = report_of(
        "/stem/Conv",
        "/body/body.0/conv/Conv",
        "/body/body.0/conv/Conv_1",
        "/body/body.1/conv/Conv",
        others=(other("/head/fc/Gemm"),),
    )
    assert shown(report) == ["stem", "body", "  0.conv", "    Conv", "    Conv_1", "  1.conv", "head.fc"]


def test_the_root_names_what_all_names_begin_with() -> None:
    root = blocks(report_of("model.a.x", "model.b.y"), {})[0]
    assert (root.label, root.depth, root.parent, root.layers) == ("model", 0, None, 2)


def test_a_model_without_convolutions_is_a_root() -> None:
    (root,) = blocks(report_of(), {})
    assert [getattr(root, name) for name in SUMS] == [0] * 6


def random_names(seed: int, number: int) -> list[str]:
    rng = random.Random(seed)
    return [".".join(rng.choice("abc") for _ in range(rng.randint(1, 6))) + f".{i}" for i in range(number)]


def children(tree: tuple[BlockCost, ...], place: int) -> list[BlockCost]:
    return [block for block in tree if block.parent == place]


@pytest.mark.parametrize("seed", range(8))
def test_sums_add_up(seed: int) -> None:
    names = random_names(seed, 30)
    layers = [
        conv_layer(
            name,
            6,
            6,
            (3, 3),
            (symbol("H"), 8),
            groups=(1, 2, 6)[i % 3],
            weight_name=f"w{i % 20}",  # some are shared
            calls=1 + i % 2,
        )
        for i, name in enumerate(names[:20])
    ]
    others = tuple(other(name, macs=5 * symbol("H")) for name in names[20:])
    report = replace(analyze(network(*layers)), other_layers=others)
    tree = blocks(report, {"H": 9})
    for place, block in enumerate(tree):
        assert (block.member is None) == bool(children(tree, place))
        for name in SUMS if block.member is None else ():
            assert getattr(block, name) == sum(getattr(child, name) for child in children(tree, place)), name
        for child in children(tree, place):
            assert child.path[: len(block.path)] == block.path
            assert child.depth == block.depth + 1
    leaves = [block.member for block in tree if block.member is not None]
    assert sorted(leaf.name for leaf in leaves) == sorted(names)
    totals = report.totals
    assert (tree[0].layers, tree[0].others) == (20, 10)
    assert tree[0].macs == totals.macs.substitute({"H": 9}) + 10 * 5 * 9
    assert tree[0].dense_macs == totals.dense_macs.substitute({"H": 9}) + 10 * 5 * 9
    assert tree[0].params == totals.params + 10 * 12


def test_what_is_unknown_is_unknown_above_it_and_nowhere_else() -> None:
    report = report_of("a.x", "a.y", "b.z", others=(other("b.fc", macs=None),))
    tree = {block.path: block for block in blocks(report, {})}
    assert tree["a",].macs == tree["a", "x"].macs + tree["a", "y"].macs
    assert tree["b",].macs is None
    assert tree["b",].macs_at_least == tree["b", "z"].macs
    assert tree[()].macs is None
    assert tree[()].macs_saved is None


def test_of_exclusive_branches_each_block_counts_the_costlier() -> None:
    def arm(name: str, size: int) -> object:
        return conv_layer(f"m.{name}", size=(size,), kernel=(1,), branches=(Branch(choice="If", arm=name),))

    report = analyze(network(conv_layer("m.always", kernel=(1,), size=(1,)), arm("then", 3), arm("else", 5)))
    tree = {block.label: block for block in blocks(report, {})}
    assert tree["m"].macs == report.totals.macs == tree["always"].macs + tree["else"].macs


def test_of_ops_that_share_one_of_their_tensors_each_tensor_counts_once() -> None:
    def fc(name: str, *stored: tuple[str, int]) -> OtherLayer:
        tensors = tuple(TensorInfo(name=tensor, shape=(size,), dtype="float32") for tensor, size in stored)
        return other(name, params=sum(size for _, size in stored), weight_name=stored[0][0], stored=tensors)

    one, two = fc("a", ("w", 16), ("b1", 4)), fc("b", ("w", 16), ("b2", 3))
    three = fc("c", ("w2", 9), ("b1", 4))
    tree = blocks(report_of(others=(one, two, three)), {})
    assert [block.params for block in tree] == [16 + 4 + 3 + 9, 16 + 4, 3, 9]


def test_hostile_names_cost_no_recursion_and_little_memory() -> None:
    names = [f"{'x.' * 10_000}{i}" for i in range(20)] + [
        "/".join(f"{i}.{j}" for j in range(5_000)) for i in range(20)
    ]
    report = report_of(*names)
    tracemalloc.start()
    tree = blocks(report, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(block.depth for block in tree) <= DEEPEST
    assert tree[0].layers == 40
    assert peak < 50e6
