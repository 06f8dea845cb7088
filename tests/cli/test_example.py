"""``convaudit example``: what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import convaudit


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_it_writes_and_names_is_proven(run):
    result = run("example")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "wrote digits.onnx; now try: convaudit digits.onnx --verify\n"
    report = convaudit.audit("digits.onnx", verify="in-situ")
    assert {layer.kind for layer in report.layers} == {"dense", "pointwise", "grouped", "depthwise"}
    assert all(layer.verification.verified for layer in report.layers)


def test_twice_is_as_good_as_once(run):
    assert run("example").exit_code == run("example").exit_code == 0


def test_another_file_of_that_name_stays(run):
    Path("digits.onnx").write_text("mine")
    result = run("example")
    assert (result.exit_code, Path("digits.onnx").read_text()) == (2, "mine")
    assert result.stderr == "error: 'digits.onnx' exists and is another file; name a new one with --output\n"
    assert "convaudit 'a b.onnx' --verify" in run("example", "-o", "a b.onnx").stderr
    assert Path("a b.onnx").exists()


def test_a_place_that_is_not_there_is_one_line(run):
    result = run("example", "-o", "no/such/folder/x.onnx")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "cannot write 'no/such/folder/x.onnx': No such file" in result.stderr
