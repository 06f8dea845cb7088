"""Options that several commands share: how a source is read and verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from convaudit.arguments import named_or_in_order, unique
from convaudit.cli.values import DIM, INPUT, KEYWORDS, SEED, SIZE
from convaudit.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False)


def source_options(command: Decorated) -> Decorated:
    """What a model is built and walked with: ``--input``, ``--dim``, ``--kwargs``, and how it may be run."""
    return decorated(
        command,
        click.option(
            "-i",
            "--input",
            "input_shapes",
            type=INPUT,
            multiple=True,
            help="Fix an input: its sizes as 1x3x224x224 or NAME=1x20:int64, a scalar's value as NAME=16000.",
        ),
        click.option("--dim", "dims", type=DIM, multiple=True, help="Fix a symbolic dimension: batch=1."),
        click.option(
            "--kwargs",
            type=KEYWORDS,
            help="Arguments of a factory or torchvision model, in JSON: '{\"width_mult\": 0.5}'.",
        ),
        click.option(
            "--no-run", is_flag=True, help="Never run the model to find shapes that its structure hides."
        ),
        click.option(
            "--real-run",
            is_flag=True,
            help="Run a torch module for real, where tensors without values cannot do.",
        ),
    )


def verify_options(command: Decorated) -> Decorated:
    """``--verify`` and what goes with it."""
    return decorated(
        command,
        click.option(
            "--verify", is_flag=True, help="Re-execute every convolution on the activations of one run."
        ),
        click.option(
            "--verify-isolated",
            is_flag=True,
            help="Re-execute each convolution alone: its weights, random input, no run of the model.",
        ),
        click.option(
            "--data",
            type=FILE,
            help="The inputs, as .npz by name: their sizes, and what runs are made on; else random.",
        ),
        click.option("--seed", type=SEED, help="Seed of the random inputs, 0 unless given."),
        click.option(
            "--memory",
            type=SIZE,
            help="Bound on what verifying holds beside onnxruntime's own need, 1GiB unless given; less of it "
            "runs the model more often.",
        ),
        click.option(
            "--opt-level",
            type=click.Choice(["all", "extended", "basic", "disabled"]),
            help="onnxruntime's graph optimisation while verifying, all unless given.",
        ),
    )


def decorated(command: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    """The command with the options, listed in this order."""
    for option in reversed(options):  # the last one applied is listed first
        command = option(command)
    return command


def audit_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """The shared options' values as keyword arguments of ``convaudit.audit``."""
    return {**source_keywords(options), "data": options["data"], **verify_keywords(options)}


def source_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``source_options`` alone."""
    return {
        "input_shape": named_or_in_order(options["input_shapes"], "--input") or None,
        "dims": unique(options["dims"], "--dim"),
        "kwargs": options["kwargs"],
        "allow_run": not options["no_run"],
        "fake": not options["real_run"],
    }


def without_verification(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for a model that is not verified among others that are."""
    return {**options, **{name: None for name, _ in _HOW.values()}}


def verify_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``verify_options`` alone.

    Raises  UsageError for options that exclude each other, or would do nothing.
    """
    verify, isolated = options["verify"], options["verify_isolated"]
    if verify and isolated:
        raise UsageError("--verify and --verify-isolated exclude each other; choose one")
    given = {option: options[name] for option, (name, _) in _HOW.items() if options[name] is not None}
    for option in given:
        if not verify and not isolated:
            raise UsageError(f"{option} says how to verify; it needs --verify")
        if isolated and option == "--memory":
            raise UsageError(f"{option} is for a run of the whole model, which --verify-isolated avoids")
    if not verify and not isolated:
        return {}
    keywords = {_HOW[option][1]: value for option, value in given.items()}
    return {"verify": "isolated" if isolated else "in-situ", **keywords}


_HOW = {
    "--seed": ("seed", "seed"),
    "--memory": ("memory", "memory_bytes"),
    "--opt-level": ("opt_level", "optimization"),
}
"""What says how to verify: the option, its value's name, and the keyword of ``convaudit.audit``."""
