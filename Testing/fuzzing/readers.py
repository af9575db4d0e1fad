"""Damages image files at random and reads them in a child process with little memory: none may crash, hang or swell.

python -m Testing.fuzzing.readers --seconds 600 --out out/fuzzing     # the long run; findings are kept as files
A read may succeed or raise BadInput. Anything else is a finding: another exception, more than TIMEOUT_S of CPU time,
more memory than MEMORY, or the death of the process. The same seed gives the same file.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
for place in (ROOT, ROOT / "Testing"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

MEMORY = 2 * 2**30  # bytes of address space beyond what the libraries take; the base files have 20 kB
TIMEOUT_S = 20
HEADERS = {"nii": 352, "gz": 352, "nrrd": 400, "mha": 400, "mhd": 400, "dcm": 1500, "enhanced": 4000, "jpeg": 1500}
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
WORDS = (b"-1", b"0", b"99999999999", b"1e308", b"nan", b"inf", b"32767 32767 32767", b"LIST", b"gzip", b"\x00")


def base_files(folder: Path) -> dict[str, Path]:
    """One small valid file of each kind; a series of DICOM is a folder."""
    import SimpleITK as sitk
    from dicom_files import T1W, write_enhanced, write_series

    from TrainingCore.imaging.volumes import Volume, to_sitk, write_volume

    data = np.random.default_rng(0).integers(1, 900, (20, 22, 16)).astype(np.float32)
    volume = Volume(data, np.diag([1.0, 1.2, 2.0, 1.0]))
    files = {kind: folder / f"base.{kind}" for kind in ("nii", "nrrd", "mha", "mhd")} | {"gz": folder / "base.nii.gz"}
    for kind, path in files.items():
        if kind in ("nii", "gz"):
            write_volume(path, data.astype(np.int16), volume.affine)
        else:
            sitk.WriteImage(sitk.Cast(to_sitk(volume), sitk.sitkInt16), str(path), kind == "nrrd")
    write_series(folder / "dcm", volume, T1W)
    write_enhanced(folder / "enhanced/IM1", volume, T1W)
    write_series(folder / "jpeg", volume, T1W)
    for path in sorted((folder / "jpeg").iterdir()):
        compress(path)
    return files | {kind: folder / kind for kind in ("dcm", "enhanced", "jpeg")}


def compress(path: Path) -> None:
    """Rewrite a DICOM slice with JPEG 2000 pixels (by GDCM), keeping its tags."""
    import pydicom
    import SimpleITK as sitk
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    plain = pydicom.dcmread(path)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "one.dcm"
        writer = sitk.ImageFileWriter()
        writer.SetUseCompression(True)
        writer.SetCompressor("JPEG2000")
        writer.SetFileName(str(target))
        writer.Execute(sitk.GetImageFromArray(plain.pixel_array[None].astype(np.uint16)))
        coded = pydicom.dcmread(target)
    plain.PixelData = encapsulate(list(pydicom.encaps.generate_frames(coded.PixelData, number_of_frames=1)))
    plain["PixelData"].is_undefined_length = True
    plain.file_meta.TransferSyntaxUID = JPEG2000Lossless
    plain.save_as(path, enforce_file_format=True)


def damaged(content: bytes, header: int, rng: np.random.Generator) -> bytes:
    """One to four changes, most of them in the header: bytes, numbers, words, pieces lost, doubled or moved, an end."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        reach = min(header, len(out)) if rng.random() < 0.85 else len(out)
        if reach < 8:
            break
        at = int(rng.integers(0, reach))
        way = rng.integers(0, 8)
        if way == 0:
            out[at] = int(rng.integers(0, 256))
        elif way == 1:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 2:
            size = int(rng.choice([1, 2, 4, 8]))
            number = EXTREMES[int(rng.integers(0, len(EXTREMES)))] & (2 ** (8 * size) - 1)
            out[at : at + size] = number.to_bytes(size, "little" if rng.random() < 0.7 else "big")
        elif way == 3:
            word = WORDS[int(rng.integers(0, len(WORDS)))]
            out[at : at + (len(word) if rng.random() < 0.5 else 0)] = word
        elif way == 4:
            del out[at : at + int(rng.integers(1, 64))]
        elif way == 5:
            out[at:at] = out[at : at + int(rng.integers(1, 64))]
        elif way == 6:
            out[at : at + int(rng.integers(1, 64))] = bytes(int(rng.integers(1, 64)))
        else:
            del out[int(rng.integers(0, len(out))) :]
    return bytes(out)


def write_case(seed: int, bases: dict[str, Path], folder: Path) -> tuple[str, Path]:
    """Write the damaged file of a seed into an empty folder; returns its kind and what to read."""
    rng = np.random.default_rng(seed)
    kind = sorted(bases)[seed % len(bases)]
    base = bases[kind]
    if base.is_dir():
        shutil.copytree(base, folder / kind)
        victims = sorted((folder / kind).iterdir())
        victim = victims[int(rng.integers(0, len(victims)))]
        victim.write_bytes(damaged(victim.read_bytes(), HEADERS[kind], rng))
        return kind, folder / kind
    content = base.read_bytes()
    if kind == "gz" and rng.random() < 0.8:
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as stream:
            stream.write(damaged(gzip.decompress(content), HEADERS[kind], rng))
        content = buffer.getvalue()
    else:
        content = damaged(content, HEADERS[kind], rng)
    if kind == "mhd":
        raw = next(base.parent.glob("base.*raw"))
        shutil.copy(raw, folder / raw.name)
    (folder / base.name).write_bytes(content)
    return kind, folder / base.name


def read_seeds(first: int, seconds: float, count: int) -> None:
    """The child: read one damaged file after the other, saying before each which, and after it what came of it."""
    import resource
    import warnings

    import SimpleITK as sitk

    from TrainingCore.imaging.volumes import read_volume
    from TrainingCore.runtime.errors import BadInput

    warnings.simplefilter("ignore")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as scratch:
        bases = base_files(Path(scratch))
        for path in bases.values():
            read_volume(path)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        ends = time.monotonic() + seconds
        for seed in range(first, first + count):
            if time.monotonic() > ends:
                break
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                kind, path = write_case(seed, bases, Path(folder))
                print(json.dumps({"seed": seed, "kind": kind}), flush=True)
                signal.setitimer(signal.ITIMER_PROF, TIMEOUT_S)  # CPU time; ends what hangs in C too
                try:
                    read_volume(path)
                    outcome = "read"
                except BadInput as error:
                    outcome = "refused" if len(str(error)) < 1500 else f"long sentence: {error}"
                except BaseException as error:
                    outcome = f"{type(error).__name__}: {error}"
                signal.setitimer(signal.ITIMER_PROF, 0)
                print(json.dumps({"seed": seed, "outcome": outcome}), flush=True)


def fuzz(first: int, seconds: float, count: int = 10**9) -> tuple[Counter, list[dict]]:
    """Read damaged files from seed `first` on, for some time or a count. Returns outcomes and findings."""
    outcomes: Counter = Counter()
    findings: list[dict] = []
    ends, last = time.monotonic() + seconds, first + count
    while first < last and (left := ends - time.monotonic()) > 0:
        command = [sys.executable, __file__, "--child", str(first), str(left), str(last - first)]
        with tempfile.TemporaryFile("w+") as said:
            code = subprocess.run(command, stdout=said, stderr=subprocess.DEVNULL, cwd=ROOT).returncode
            said.seek(0)
            begun = None
            for line in _lines(said):
                if "kind" in line:
                    begun = line
                else:
                    good = line["outcome"] in ("read", "refused")
                    outcomes[f"{begun['kind']}: {line['outcome'] if good else 'finding'}"] += 1
                    if not good:
                        findings.append(begun | line)
                    first, begun = line["seed"] + 1, None
        if code == 0:
            break
        if begun is None:
            raise RuntimeError(f"the child ended with {code} before it read anything")
        findings.append(
            begun | {"outcome": f"the process ended with {code}" + (": too slow" if code == -signal.SIGPROF else "")}
        )
        first = begun["seed"] + 1
    return outcomes, findings


def _lines(stream: Iterator[str]) -> Iterator[dict]:
    for line in stream:
        if line.startswith("{") and line.endswith("\n"):
            yield json.loads(line)


def main() -> int:
    """Run, print the table and keep the damaged files of findings."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--count", type=int, default=10**9)
    options.add_argument("--out", type=Path, default=Path("out/fuzzing"))
    options.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        read_seeds(int(given.child[0]), float(given.child[1]), int(given.child[2]))
        return 0
    outcomes, findings = fuzz(given.first, given.seconds, given.count)
    print("\n".join(f"{name:24} {number}" for name, number in sorted(outcomes.items())))
    with tempfile.TemporaryDirectory() as scratch:
        bases = base_files(Path(scratch)) if findings else {}
        for finding in findings:
            print(json.dumps(finding))
            folder = given.out / str(finding["seed"])
            folder.mkdir(parents=True, exist_ok=True)
            if not any(folder.iterdir()):
                write_case(finding["seed"], bases, folder)
    print(f"{sum(outcomes.values())} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
