"""What the profiler's events are taken for."""

from __future__ import annotations

import pytest

from convaudit.frontends.torch.timer.events import Event, SeenCall, kernel_of, nested, run_of


def event(name: str, *inside: Event, seconds: float = 1.0) -> Event:
    return Event(name, 0.0, seconds, list(inside))


CONV2D = event(
    "aten::conv2d",
    event(
        "aten::convolution",
        event("aten::_convolution", event("aten::empty"), event("aten::mkldnn_convolution", seconds=7)),
    ),
    seconds=9,
)
SLOW = event("aten::thnn_conv2d", event("aten::_slow_conv2d_forward"))
GROUPS_IN_TURN = event(
    "aten::convolution", event("aten::narrow"), SLOW, event("aten::narrow"), SLOW, seconds=5
)


@pytest.mark.parametrize(
    ("ran", "calls"),
    [
        pytest.param([CONV2D], [SeenCall(9, "aten::mkldnn_convolution")], id="with what calls it"),
        pytest.param([GROUPS_IN_TURN], [SeenCall(5, "aten::_slow_conv2d_forward")], id="once for all groups"),
        pytest.param([event("block", CONV2D, CONV2D)], [9, 9], id="in a named stretch"),
        pytest.param([event("mine::block", event("aten::relu"), CONV2D)], [9], id="in a custom operator"),
        pytest.param([event("aten::conv2d", CONV2D, CONV2D)], [9, 9], id="two of complex numbers"),
        pytest.param([event("aten::convert")], [], id="a name that is like it"),
    ],
)
def test_convolutions(ran, calls):
    found = list(run_of(event("run", *ran)).calls)
    assert found == calls or [call.seconds for call in found] == calls


def test_other_operators_are_counted_with_all_that_they_call():
    relu, norm = event("aten::relu_", seconds=2), event("aten::batch_norm", event("aten::empty"), seconds=4)
    found = run_of(event("run", relu, CONV2D, norm, event("block", relu), event("idle")))
    assert found.others == {"relu_": (2, 4), "batch_norm": (1, 4)}


def test_events_nest_by_their_times():
    flat = [Event("c", 5, 1), Event("a", 0, 4), Event("b", 1, 3), Event("aa", 1.5, 1), Event("whole", 0, 10)]
    (whole,) = nested(flat)
    assert [part.name for part in whole.inside] == ["a", "c"]
    assert whole.inside[0].inside[0].inside[0].name == "aa"


def test_a_device_names_its_own_kernel():
    inner = event("aten::cudnn_convolution")
    inner.kernel = "implicit_gemm"
    assert kernel_of(event("aten::convolution", inner)) == "aten::cudnn_convolution (implicit_gemm)"
