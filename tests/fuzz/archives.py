"""Damaged and hostile model files: each is audited or refused, quickly, and in little memory.

``python -m tests.fuzz.archives SEED N`` mutates N files (.onnx, .pt, .pt2, .pth) and audits each at the
command line. A finding is another exit code than 0 and 2, an internal error, a crash, over 20 s or 1 GB.
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.children import Child

SECONDS = 20
MEMORY = 10**9
FILE_MEMORY = "700MiB"  # beside the 250 MB that torch takes; who wants more is a finding
_NUMBERS = (-1, 0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**63 - 1, -(2**63))
_TEXTS = (
    "", "x", "Conv", "float", "::error::", "\udc80", "\0", "a" * 5000, "../../x", "/dev/zero",
    "Symbol('s0')", "s0**16", "Pow(Pow(Symbol('s0'),16),16)", "torch.ops.aten.relu.default",
    "torch.ops.aten.cat.default", "{", "1" * 500,
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What the command line said of a file."""

    exit_code: int
    stderr: str
    seconds: float


def audited(path: str) -> Verdict:
    """Audit a file in this process, which is a child of the fuzz."""
    from click.testing import CliRunner

    from convaudit.cli.group import cli

    shape = [] if path.endswith((".onnx", ".pt2")) else ["-i", "1x4x8x8"]
    started = time.monotonic()
    limits = {"CONVAUDIT_FILE_MEMORY": FILE_MEMORY, "CONVAUDIT_FILE_SECONDS": str(SECONDS)}
    done = CliRunner().invoke(cli, [path, *shape], env=limits)
    return Verdict(done.exit_code, done.stderr, time.monotonic() - started)


# --- files in order -------------------------------------------------------------------------------------


def originals(folder: Path) -> list[Path]:
    """Small models of every format and sort."""
    import torch
    from torch import nn

    from tests.cli.conftest import save_model
    from tests.programs import ROOT

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.table = {"a": 1}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for i in range(3):
                if i > self.table["a"]:
                    x = self.conv(x)
            return x

    net = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    x = torch.zeros(2, 4, 8, 8)
    dynamic = ({0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=4)},)
    save_model(folder / "small.onnx")
    save_model(folder / "custom.onnx", batch="N", extra="Thing")
    (folder / "digits.onnx").write_bytes((ROOT / "convaudit" / "cli" / "digits.onnx").read_bytes())
    torch.jit.save(torch.jit.script(net), folder / "scripted.pt")
    torch.jit.save(torch.jit.trace(net, x), folder / "traced.pt")
    torch.jit.save(torch.jit.script(Branching()), folder / "branching.pt")
    torch.export.save(torch.export.export(net, (x,)), folder / "static.pt2")
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes=dynamic), folder / "dynamic.pt2")
    torch.save(net.state_dict(), folder / "weights.pth")
    torch.save(net, folder / "module.pth", _use_new_zipfile_serialization=False)
    return sorted(folder.iterdir())


# --- and out of order -----------------------------------------------------------------------------------


def mutated(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """The file with one to four mutations, of its bytes or of what they mean."""
    meanings: list[Callable[[bytes, random.Random], bytes]] = [_flipped, _cut, _spliced, _zeroed]
    if suffix == ".onnx":
        meanings += [_proto_mutated] * 6
    elif zipfile.is_zipfile(io.BytesIO(content)):
        meanings += [_member_mutated] * 8 + [_zip_mutated] * 2
    for _ in range(rng.choice((1, 1, 2, 4))):
        content = rng.choice(meanings)(content, rng)
    return content


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _spliced(content: bytes, rng: random.Random) -> bytes:
    start, to = rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)
    piece = content[start : start + rng.randrange(200)]
    return content[:to] + piece + content[to + rng.choice((0, len(piece))) :]


def _zeroed(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content) + 1), rng.randrange(50)
    fill = rng.choice((b"\0", b"\xff")) * length
    return content[:start] + fill + content[start + length :]


def _proto_mutated(content: bytes, rng: random.Random) -> bytes:
    import onnx
    from google.protobuf.message import DecodeError, Message

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError:
        return _flipped(content, rng)
    message: Any = model
    while True:
        fields = [(field, value) for field, value in message.ListFields()]
        inner = [
            item
            for field, value in fields
            for item in ([value] if isinstance(value, Message) else value if field.message_type else ())
        ]
        if not inner or rng.random() < 0.15:
            break
        message = rng.choice(inner)
    for field in rng.sample(list(message.DESCRIPTOR.fields), min(2, len(message.DESCRIPTOR.fields))):
        try:
            _set_field(message, field, rng)
        except (ValueError, TypeError, UnicodeEncodeError):
            continue  # out of the field's range
    try:
        changed: bytes = model.SerializeToString()
    except ValueError:
        return content
    return changed


def _set_field(message: Any, field: Any, rng: random.Random) -> None:
    value = getattr(message, field.name)
    if field.message_type is not None:
        if field.is_repeated and value:
            value.append(rng.choice(list(value)))
        else:
            message.ClearField(field.name)
    elif field.is_repeated:
        value.append(_scalar(field, rng))
    else:
        setattr(message, field.name, _scalar(field, rng))


def _scalar(field: Any, rng: random.Random) -> Any:
    if field.cpp_type == field.CPPTYPE_STRING:
        text = rng.choice(_TEXTS)
        return text.encode(errors="replace") if field.type == field.TYPE_BYTES else text
    return float(rng.choice(_NUMBERS)) if "FLOAT" in str(field.cpp_type) else rng.choice(_NUMBERS)


def _members(content: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(member, archive.read(member)) for member in archive.infolist()]


def _rezipped(members: list[tuple[Any, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for member, data in members:
            archive.writestr(getattr(member, "filename", member), data)
    return buffer.getvalue()


def _member_mutated(content: bytes, rng: random.Random) -> bytes:
    """One member changed, with a checksum that is right again."""
    try:
        members = _members(content)
    except Exception:
        return _flipped(content, rng)
    likely = [i for i, (m, _) in enumerate(members) if m.filename.endswith((".json", ".pkl", ".py"))]
    place = rng.choice(likely) if likely and rng.random() < 0.8 else rng.randrange(len(members))
    member, data = members[place]
    if member.filename.endswith(".json") and rng.random() < 0.8:
        data = _json_mutated(data, rng)
    elif member.filename.endswith(".py") and rng.random() < 0.7:
        data = _code_mutated(data, rng)
    else:
        data = rng.choice((_flipped, _flipped, _cut, _spliced, _zeroed))(data, rng)
    members[place] = (member, data)
    return _rezipped(members)


def _json_mutated(data: bytes, rng: random.Random) -> bytes:
    try:
        document = json.loads(data)
    except ValueError:
        return _flipped(data, rng)
    places = list(_places(document))
    for _ in range(rng.choice((1, 1, 2))) if places else ():
        holder, key = rng.choice(places)
        other = rng.choice(places)
        holder[key] = rng.choice(
            (rng.choice(_NUMBERS), rng.choice(_TEXTS), None, [], {}, True, 1.5, other[0].copy())
        )
    try:
        return json.dumps(document).encode(errors="replace")
    except (ValueError, RecursionError):
        return data


def _places(item: Any) -> Iterator[tuple[Any, Any]]:
    keys = item if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
    for key in list(keys):
        yield item, key
        yield from _places(item[key])


def _code_mutated(data: bytes, rng: random.Random) -> bytes:
    words = data.split(b" ")
    place = rng.randrange(len(words))
    new = rng.choice(
        (
            rng.choice(words),
            b"",
            b"while True:",
            b"10000000000",
            b"torch.relu(x)",
            b"torch.zeros([100000, 100000])",
        )
    )
    words[place] = new
    return b" ".join(words)


def _zip_mutated(content: bytes, rng: random.Random) -> bytes:
    """The directory: bombs, members that are missing, renamed, packed, or of another archive's kind."""
    try:
        members: list[tuple[Any, bytes]] = [(m.filename, data) for m, data in _members(content)]
    except Exception:
        return _flipped(content, rng)
    root = members[0][0].split("/")[0]
    match rng.randrange(6):
        case 0:
            members.append((f"{root}/data/bomb", bytes(2**25)))
            return _rezipped(members, zipfile.ZIP_DEFLATED)
        case 1:
            members.pop(rng.randrange(len(members)))
        case 2:
            place = rng.randrange(len(members))
            members[place] = (rng.choice(members)[0].upper(), members[place][1])
        case 3:
            return _rezipped(members, rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
        case 4:
            name = rng.choice(("model.json", "data.pkl", "models/x.json", "code/y.py", "constants.pkl"))
            members.append((f"{root}/{name}", rng.choice(members)[1]))
        case 5:
            rng.shuffle(members)
    return _rezipped(members)


# --- the fuzz -------------------------------------------------------------------------------------------


def findings(seed: int, number: int, counts: Counter[str] | None = None) -> Iterator[str]:
    """What went wrong, one line each; ``counts`` gets how many files were audited, refused, and so on."""
    counts = Counter() if counts is None else counts
    with tempfile.TemporaryDirectory() as scratch, Child(audited, seconds=4 * SECONDS, calls=200) as child:
        folder = Path(scratch)
        (folder / "originals").mkdir()
        files = originals(folder / "originals")
        for i in range(number):
            rng = random.Random(f"{seed}:{i}")
            file = rng.choice(files)
            path = folder / f"mutated{file.suffix}"
            path.write_bytes(mutated(file.read_bytes(), file.suffix, rng))
            outcome = child(str(path))
            problem = _problem(outcome)
            counts[_sort(outcome)] += 1
            if problem:
                kept = Path(tempfile.gettempdir()) / f"convaudit-fuzz-{seed}-{i}{file.suffix}"
                kept.write_bytes(path.read_bytes())
                yield f"{seed}:{i} {file.name}: {problem} ({kept})"


def _problem(outcome: Any) -> str | None:
    verdict = outcome.value
    if verdict is None:
        return outcome.crash or outcome.error
    words = ("internal error", "Traceback", "ran for more than", "needs more than", "out of memory")
    if verdict.exit_code not in {0, 2} or any(word in verdict.stderr for word in words):
        return f"exit code {verdict.exit_code}: {verdict.stderr.strip()[:500]}"
    if verdict.seconds > SECONDS:
        return f"took {verdict.seconds:.0f} s"
    return f"took {outcome.peak_bytes / 1e9:.1f} GB" if outcome.peak_bytes > MEMORY else None


def _sort(outcome: Any) -> str:
    if outcome.value is None:
        return "crashed"
    if "by signal" in outcome.value.stderr:
        return "refused after a crash of the file's own process"
    return {0: "audited", 2: "refused"}.get(outcome.value.exit_code, "other")


def main() -> None:
    seed, number = int(sys.argv[1]), int(sys.argv[2])
    counts: Counter[str] = Counter()
    found = 0
    for line in findings(seed, number, counts):
        print(line, flush=True)
        found += 1
    print(f"{number} files of seed {seed}: {found} findings; {dict(counts)}")
    sys.exit(bool(found))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
