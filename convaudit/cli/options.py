"""Options that several commands share, and what of ``convaudit.audit`` each stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from convaudit.arguments import named_or_in_order, unique
from convaudit.cli.values import DIM, FILE, INPUT, KEYWORDS, PROVIDER, SECONDS, SEED, SIZE, Choice
from convaudit.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


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
            help="Fix an input: its sizes as 1x3x224x224 or NAME=1x20:int64, a scalar's value as NAME=16000; "
            "of a torch module also with names for sizes: batch,3,H,W.",
        ),
        click.option("--dim", "dims", type=DIM, multiple=True, help="Fix a symbolic dimension: batch=1."),
        click.option(
            "--kwargs",
            type=KEYWORDS,
            help="Arguments of a factory, torchvision or timm model, in JSON: '{\"width_mult\": 0.5}'.",
        ),
        click.option(
            "--no-run", is_flag=True, help="Never run the model to find shapes that its structure hides."
        ),
        click.option(
            "--real-run",
            is_flag=True,
            help="Run a torch module for real, where tensors without values cannot do.",
        ),
        section="Model",
    )


data_option = click.option(
    "--data",
    type=FILE,
    help="The inputs, as .npz by name: their sizes, and what runs are made on; else random.",
)
provider_option = click.option(
    "--provider",
    type=PROVIDER,
    help="What onnxruntime runs on: cpu unless given; openvino, cuda, ... if installed.",
)


def threads_option(doing: str, threads: str | None = None) -> Callable[[Any], Any]:
    """``--threads``, of runs that are for something.

    Args:
        doing: What they are for, in a word.
        threads: How many threads unless the user says so.
    """
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"Threads of the runtime while {doing}{f', {threads} unless given' if threads else ''}.",
    )


def verify_options(command: Decorated) -> Decorated:
    """``--verify``, and how a model is run, to verify or to time it."""
    how = run_options(
        doing="verifying or timing",
        memory="Bound on what is held beside onnxruntime's own need, 1GiB unless given; with less of it, "
        "verifying runs the model more often, and large twins are not timed.",
    )
    return decorated(
        how(command),
        click.option(
            "--verify", is_flag=True, help="Re-execute every convolution on the activations of one run."
        ),
        click.option(
            "--verify-isolated",
            is_flag=True,
            help="Re-execute each convolution alone: its weights, random input, no run of the model.",
        ),
        section="Verify",
    )


def run_options(*, memory: str, doing: str = "verifying") -> Callable[[Decorated], Decorated]:
    """What a model is run on.

    Args:
        memory: What ``--memory`` bounds there.
        doing: What the runs are for, in a word.
    """
    return lambda command: decorated(command, *_run_options(doing, memory), section="Run")


def _run_options(doing: str, memory: str) -> Iterable[Callable[[Any], Any]]:
    yield data_option
    yield click.option("--seed", type=SEED, help="Seed of the random inputs, 0 unless given.")
    yield click.option("--memory", type=SIZE, help=memory)
    yield from _runtime_options(doing)


def sweep_options(command: Decorated) -> Decorated:
    """How long a sweep may take, how much it may hold, and what it runs in."""
    return decorated(
        command,
        click.option(
            "--time-budget", type=SECONDS, help="How long all of it may take, 30s unless given: 500ms, 2min."
        ),
        click.option("--memory", type=SIZE, help="Bound on the weights of one of them, 1GiB unless given."),
        *_runtime_options("timing", "1"),
        section="Run",
    )


def _runtime_options(doing: str, threads: str | None = None) -> Iterable[Callable[[Any], Any]]:
    yield provider_option
    yield threads_option(doing, threads)
    yield click.option(
        "--opt-level",
        type=Choice(["all", "extended", "basic", "disabled"]),
        help=f"onnxruntime's graph optimisation while {doing}, all unless given.",
    )


time_budget_option = click.option(
    "--time-budget", type=SECONDS, help="How long timing may take, 30s unless given: 500ms, 2min."
)


def time_options(command: Decorated) -> Decorated:
    """``--time`` and what goes with it."""
    return decorated(
        command,
        click.option(
            "--time",
            is_flag=True,
            help="Measure what groups save in time: each convolution in runs of the model, and alone beside "
            "its twin with groups=1.",
        ),
        time_budget_option,
        click.option(
            "--timings",
            type=FILE,
            help="Instead of measuring, read times: onnxruntime's profile or trtexec's, of any machine.",
        ),
        click.option(
            "--twin-timings",
            type=FILE,
            help="The profile of the network that 'convaudit twin' makes of MODEL, to compare with.",
        ),
        section="Time",
    )


def decorated(
    command: Decorated, *options: Callable[[Decorated], Decorated], section: str | None = None
) -> Decorated:
    """The command with the options, listed in this order, below a heading of their own if they have one."""
    for option in reversed(options):  # the last one applied is listed first
        command = option(command)
        if section is not None:
            command.__click_params__[-1].section = section  # type: ignore[attr-defined]
    return command


def audit_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """The shared options' values as keyword arguments of ``convaudit.audit``."""
    return {
        **source_keywords(options),
        "data": options["data"],
        **verify_keywords(options),
        **time_keywords(options),
    }


def time_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``time_options`` alone; a command without them times nothing.

    Raises:
        UsageError: An option would do nothing.
    """
    time, budget = options.get("time", False), options.get("time_budget")
    timings, twin_timings = options.get("timings"), options.get("twin_timings")
    if twin_timings is not None and timings is None:
        raise UsageError("--twin-timings are compared with --timings; give both")
    if timings is not None and time:
        raise UsageError("--timings reads times, so that --time would measure nothing; choose one")
    if timings is not None and budget is not None:
        raise UsageError("--time-budget is for --time; --timings measures nothing: leave it out")
    if budget is not None and not time:
        raise UsageError("--time-budget says how long --time may take; give both")
    return {"time": time, "time_budget": budget, "timings": timings, "twin_timings": twin_timings}


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


def verify_keywords(options: Mapping[str, Any], needs: str = "--verify or --time") -> dict[str, Any]:
    """Those of ``verify_options`` alone.

    Args:
        options: The values of all options.
        needs: The options that make the command run a model, for whoever gives none of them.

    Raises:
        UsageError: Options exclude each other, or would do nothing.
    """
    verify, isolated = options["verify"], options["verify_isolated"]
    if verify and isolated:
        raise UsageError("--verify and --verify-isolated exclude each other; choose one")
    given = {option: options[name] for option, (name, _) in _HOW.items() if options[name] is not None}
    for option in given:
        if not verify and not isolated and not options.get("time"):
            raise UsageError(f"{option} says how to run a model; it needs {needs}")
        if isolated and option == "--memory" and not options.get("time"):
            raise UsageError(f"{option} is for a run of the whole model, which --verify-isolated avoids")
    keywords = {_HOW[option][1]: value for option, value in given.items()}
    return {"verify": "isolated" if isolated else "in-situ" if verify else False, **keywords}


def run_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``run_options``, but for ``--data``."""
    return {keyword: options[name] for name, keyword in _HOW.values()}


_HOW = {
    "--seed": ("seed", "seed"),
    "--memory": ("memory", "memory_bytes"),
    "--provider": ("provider", "provider"),
    "--threads": ("threads", "threads"),
    "--opt-level": ("opt_level", "optimization"),
}
"""What says how to verify: the option, its value's name, and the keyword of ``convaudit.audit``."""
