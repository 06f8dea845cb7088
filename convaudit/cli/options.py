"""Options that several commands share: how a source is read and verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from convaudit.cli.values import DIM, INPUT_SHAPE, SIZE
from convaudit.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False)


def source_options(command: Decorated) -> Decorated:
    """``--input``, ``--dim``, ``--no-run``: how a model's sizes are fixed."""
    return _decorated(
        command,
        click.option(
            "-i",
            "--input",
            "input_shapes",
            type=INPUT_SHAPE,
            multiple=True,
            help="Fix an input's shape: 1x3x224x224, or NAME=1x3x224x224 of several inputs.",
        ),
        click.option("--dim", "dims", type=DIM, multiple=True, help="Fix a symbolic dimension: batch=1."),
        click.option(
            "--no-run", is_flag=True, help="Never run the model to find shapes that its structure hides."
        ),
    )


def verify_options(command: Decorated) -> Decorated:
    """``--verify`` and what goes with it."""
    return _decorated(
        command,
        click.option(
            "--verify", is_flag=True, help="Re-execute every convolution on the activations of one run."
        ),
        click.option(
            "--verify-isolated",
            is_flag=True,
            help="Re-execute each convolution alone: its weights, random input, no run of the model.",
        ),
        click.option("--data", type=FILE, help="Inputs to verify on, as .npz by input name; else random."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random inputs."),
        click.option(
            "--memory",
            type=SIZE,
            default="1GiB",
            show_default=True,
            help="Bound on the activations held at a time while verifying.",
        ),
        click.option(
            "--opt-level",
            type=click.Choice(["all", "extended", "basic", "none"]),
            default="all",
            show_default=True,
            help="onnxruntime's graph optimisation while verifying.",
        ),
    )


def _decorated(command: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    for option in reversed(options):  # the last one applied is listed first
        command = option(command)
    return command


def audit_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """The shared options' values as keyword arguments of ``convaudit.audit``."""
    return {
        "input_shape": _by_name("--input", options["input_shapes"]),
        "dims": _by_name("--dim", options["dims"]),
        "allow_run": not options["no_run"],
    }


def _by_name(option: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UsageError(f"{option} is given twice for the same name; write NAME=... to tell inputs apart")
    return values
