"""kill -9 in the middle of a save, and a full disk: the file is the old one or the new one, whole; `writing.py`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import fastbp
import warm_python
from fastbp import Network

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals, and no limits of files, there")

KILLS = """
import os, random, signal, sys
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

import fastbp
from fastbp import Network

path = Path(sys.argv[1]) / "model.safetensors"
networks = [Network([300, 500, 300], random_state=0, dtype="float32") for _ in range(2)]
for network, value in zip(networks, (1, 2)):
    network.params[:] = value
begin = perf_counter()
fastbp.save(networks[0], path)
duration = perf_counter() - begin
n_kills, in_the_middle = int(sys.argv[2]), 0
for number in range(20 * n_kills):  # where writing takes almost no time, few kills come in the middle of a save
    if number >= n_kills and in_the_middle:
        break
    pid = os.fork()
    if pid == 0:
        while True:
            for network in networks:
                fastbp.save(network, path)
    sleep(random.uniform(0, 4) * duration)  # other moments in each run
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    (value,) = np.unique(fastbp.load(path).params)  # not half of one and half of the other
    aside = [other.name for other in path.parent.iterdir() if other != path]
    print(value, *aside, flush=True)
    in_the_middle += bool(aside)
    for name in aside:
        (path.parent / name).unlink()
"""
N_KILLS = 30


@pytest.mark.fault(30)
def test_killed_while_it_saves(tmp_path):
    done = warm_python.run(["-c", KILLS, tmp_path, N_KILLS], timeout=600)
    assert done.returncode == 0, done.stderr
    kills = [line.split() for line in done.stdout.splitlines()]
    assert len(kills) >= N_KILLS
    for value, *aside in kills:
        assert value in ("1.0", "2.0")
        assert len(aside) <= 1
        assert all(re.fullmatch(r"model\.safetensors\.[0-9a-f]{32}\.tmp", name) for name in aside)
    # else no kill came in the middle of a save
    assert any(aside for _, *aside in kills)


FULL = """
import resource, signal, sys
from pathlib import Path

import fastbp

path = Path(sys.argv[1])
before = path.read_bytes()
model = fastbp.load(path)
model.params *= 2
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then an OSError
for share in (0, 0.001, 0.3, 0.999):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(before)), resource.RLIM_INFINITY))
    try:
        fastbp.save(model, path)
    except OSError as error:
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]
    else:
        raise AssertionError(share)
"""


def saved(tmp_path):
    """(path of a saved network, its bytes)"""
    path = tmp_path / "model.safetensors"
    fastbp.save(Network([30, 50, 30], random_state=0), path)
    return path, path.read_bytes()


@pytest.mark.fault(30)
def test_the_disk_is_full(tmp_path):
    """A limit of the size of files, which a write meets as it would meet the end of a disk: some bytes are written, and
    then there is an error."""
    path, before = saved(tmp_path)
    done = warm_python.run(["-c", FULL, path])
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before


@pytest.fixture
def small_disk(tmp_path):
    """A folder in a file system of 256 KiB of its own, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault(30)
def test_a_small_disk(small_disk):
    path, before = saved(small_disk)
    network = Network([100, 300, 100], random_state=0)  # 0.5 MB
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            fastbp.save(network, path)
        assert path.read_bytes() == before
        assert os.listdir(small_disk) == [path.name]
    fastbp.save(Network([30, 50, 30], random_state=1), path)
    assert path.read_bytes() != before


@pytest.mark.fault(30)
def test_a_folder_that_is_a_file(tmp_path):
    path, before = saved(tmp_path)
    with pytest.raises(NotADirectoryError):
        fastbp.save(Network([2, 1]), path / "model.safetensors")
    assert path.read_bytes() == before


NOT_ALLOWED = """
import os, sys
from pathlib import Path

import fastbp

path = Path(sys.argv[1])
before = path.read_bytes()
network = fastbp.load(path)
os.chmod(path, 0o644)
os.chmod(path.parent, 0o555)
if os.geteuid() == 0:  # who may write everywhere
    os.setuid(65534)
try:
    fastbp.save(network, path)
except PermissionError:
    pass
else:
    raise AssertionError
assert path.read_bytes() == before
assert os.listdir(path.parent) == [path.name]
"""


@pytest.mark.fault(30)
def test_no_permission():
    with tempfile.TemporaryDirectory() as folder:  # all may enter those that it is in, unlike that of tmp_path
        path, _ = saved(Path(folder))
        done = warm_python.run(["-c", NOT_ALLOWED, path])
        os.chmod(folder, 0o755)
        assert done.returncode == 0, done.stderr


@pytest.mark.fault(30)
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path, before = saved(tmp_path)
    with pytest.raises(TypeError, match="loss"):
        fastbp.save(Network([2, 1], loss=lambda *args: None), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
