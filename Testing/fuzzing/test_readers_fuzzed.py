"""The short form of readers.py with fixed seeds, and every finding of the long runs, read in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("resource", reason="limits of memory need a POSIX system")

from fuzzing.readers import MEMORY, fuzz

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.suffix != ".raw")
READABLE = {"quaternion.nii.gz"}  # a broken qform beside a good sform
READ = """
import resource, sys
from pathlib import Path
from TrainingCore.runtime.errors import BadInput
from TrainingCore.imaging.volumes import read_volume
import SimpleITK, nibabel
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    read_volume(sys.argv[1])
except BadInput as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_a_file_that_once_broke_a_reader_is_read_or_refused_with_a_sentence(path):
    command = [sys.executable, "-c", READ, path, str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("" if path.name in READABLE else "refused: The T1w")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set from /proc")
def test_damaged_files_of_fixed_seeds_end_no_process():
    outcomes, findings = fuzz(0, 900, 200)  # far more seconds than it takes: all 200 files are read
    assert findings == []
    assert sum(outcomes.values()) == 200
    kinds = {name.split(":")[0] for name in outcomes}
    assert kinds == {"nii", "gz", "nrrd", "mha", "mhd", "dcm", "enhanced", "jpeg"}
