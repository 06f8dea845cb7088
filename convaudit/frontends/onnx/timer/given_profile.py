"""Profiles that were written elsewhere: onnxruntime's, and those of trtexec's --exportProfile.

They are untrusted: JSON of bounded size, of which every value is checked.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from convaudit.errors import UsageError
from convaudit.files import open_regular
from convaudit.frontends.onnx.timer.profile import Event, ProfiledRun, profiled_runs

_MOST_BYTES = 2**27  # a hundred runs of a thousand nodes have a fifth of it
_MILLISECOND = 1e-3
_FORMS = "onnxruntime's profile or trtexec's --exportProfile"


@dataclass(frozen=True, slots=True)
class GivenProfile:
    """A profile, read.

    Attributes:
        runtime: What wrote it.
        runs: The runs that count; TensorRT's is one, of the kernels' own averages or medians.
        warnings: What a reader of the times must know.
    """

    runtime: Literal["onnxruntime", "tensorrt"]
    runs: list[ProfiledRun]
    warnings: tuple[str, ...] = ()


def read_profile(path: str) -> GivenProfile:
    """Read a profile.

    Raises:
        LoadError: The file cannot be opened.
        UsageError: It is not a profile, or holds no run.
    """
    items = _json(path)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"{path}: not a profile, {_FORMS} is a list of objects")
    if any("cat" in item for item in items):
        return _onnxruntime(items, path)
    if any("averageMs" in item or "timeMs" in item for item in items):
        return _tensorrt(items, path)
    raise UsageError(f"{path}: not a profile, its objects are neither of {_FORMS}")


def _json(path: str) -> Any:
    with open_regular(Path(path), path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MOST_BYTES:
            raise UsageError(f"{path}: has {size} bytes; a profile is read up to {_MOST_BYTES}")
        content = file.read(_MOST_BYTES)
    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise UsageError(f"{path}: not a profile, its JSON is nested too deeply") from None
    except ValueError as error:  # of the syntax, the encoding, or one of these two
        raise UsageError(f"{path}: not a readable profile: {error}; write it again") from None


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice[:40]!r} twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a time")


def _onnxruntime(items: Sequence[Mapping[str, Any]], path: str) -> GivenProfile:
    events = []
    for number, item in enumerate(items):
        if item.get("cat") in ("Node", "Session"):
            who = f"{path}: event {number}"
            _text(item, "name", who)
            _number(item, "dur", who)
            _number(item, "ts", who)
            if not isinstance(item.get("args", {}), dict):
                raise UsageError(f"{who}: args must be an object")
            events.append(item)
    runs = profiled_runs(events)
    counted = runs[1:] or runs  # the first one is slower
    if not any(run.events for run in counted):
        raise UsageError(f"{path}: the profile holds no complete run; end it with end_profiling()")
    warnings = []
    if any(item.get("cat") == "Kernel" for item in items):
        warnings.append(f"{path}: the times are those of nodes on the host; a GPU's kernels may end later")
    return GivenProfile(runtime="onnxruntime", runs=counted, warnings=tuple(warnings))


def _tensorrt(items: Sequence[Mapping[str, Any]], path: str) -> GivenProfile:
    layers = [(number, item) for number, item in enumerate(items) if "name" in item]
    counts = [
        _number(item, "count", f"{path}: object {number}")
        for number, item in enumerate(items)
        if "count" in item
    ]
    medians = all("medianMs" in item for _, item in layers)
    events = []
    for number, item in layers:
        who = f"{path}: layer {number}"
        if medians or "averageMs" in item:
            milliseconds = _number(item, "medianMs" if medians else "averageMs", who)
        elif counts and counts[0] > 0:
            milliseconds = _number(item, "timeMs", who) / counts[0]
        else:
            raise UsageError(f"{who}: has neither averageMs nor medianMs")
        events.append(Event(_text(item, "name", who), "", "TensorRT", milliseconds * _MILLISECOND))
    if not events:
        raise UsageError(f"{path}: the profile holds no layer")
    of = "medians" if medians else "averages"
    note = f"{path}: trtexec tells {of} without their spread, and the run is their sum"
    return GivenProfile(
        "tensorrt", [ProfiledRun(math.fsum(event.seconds for event in events), tuple(events))], (note,)
    )


def _text(item: Mapping[str, Any], key: str, who: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise UsageError(f"{who}: {key} must be a text, got {value!r:.60}")
    return value


def _number(item: Mapping[str, Any], key: str, who: str) -> float:
    """A value that is a finite number, and not negative."""
    value = item.get(key)
    # what is not a number is in no interval
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**60:
        raise UsageError(f"{who}: {key} must be a number from 0, got {value!r:.60}")
    return float(value)
