"""kill -9 in the middle of a save, and a full disk: the file is the old one or the new one, whole; `writing.py`."""

import os
import signal
import subprocess
import sys
from time import sleep

import numpy as np
import pytest

import fastbp
from fastbp import Network

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals, and no limits of files, there")

SAVES = """
import sys
from pathlib import Path
from time import perf_counter

import fastbp
from fastbp import Network

folder = Path(sys.argv[1])
networks = [Network([300, 500, 300], random_state=seed, dtype="float32") for seed in (0, 1)]
for network, value in zip(networks, (1, 2)):
    network.params[:] = value
begin = perf_counter()
fastbp.save(networks[0], folder / "model.safetensors")
print(perf_counter() - begin, flush=True)
while True:
    for network in networks:
        fastbp.save(network, folder / "model.safetensors")
"""
N_KILLS = 25


@pytest.mark.fault(30)
def test_killed_while_it_saves(tmp_path):
    rng = np.random.default_rng()  # other moments in each run
    seen, left_over = set(), 0
    for _ in range(N_KILLS):
        command = [sys.executable, "-c", SAVES, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            duration = float(process.stdout.readline())
            sleep(rng.uniform(0, 3) * duration)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        network = fastbp.load(tmp_path / "model.safetensors")
        (value,) = np.unique(network.params)  # not half of one and half of the other
        seen.add(float(value))
        aside = [path for path in tmp_path.iterdir() if path.name != "model.safetensors"]
        assert all(path.name.startswith("model.safetensors.") and path.suffix == ".tmp" for path in aside)
        assert len(aside) <= 1
        left_over += len(aside)
        for path in aside:
            path.unlink()
    assert seen <= {1.0, 2.0}
    # else no kill came in the middle of a save, which takes most of the time
    assert left_over > 0


FULL = """
import resource, signal, sys
import fastbp

path = sys.argv[1]
model = fastbp.load(path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then an OSError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
model.params *= 2
try:
    fastbp.save(model, path)
except OSError as error:
    print("OSError", error.errno)
else:
    print("saved")
"""


def saved(tmp_path):
    """(path of a saved network, its bytes)"""
    path = tmp_path / "model.safetensors"
    fastbp.save(Network([30, 50, 30], random_state=0), path)
    return path, path.read_bytes()


@pytest.mark.fault(30)
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.999])
def test_the_disk_is_full(share, tmp_path):
    """A limit of the size of files, which a write meets as it would meet the end of a disk: some bytes are written, and
    then there is an error."""
    path, before = saved(tmp_path)
    command = [sys.executable, "-c", FULL, str(path), str(int(share * len(before)))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.split()[:1] == ["OSError"], done.stderr
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


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
def test_no_permission(tmp_path):
    path, before = saved(tmp_path)
    with pytest.raises(NotADirectoryError):
        fastbp.save(Network([2, 1]), path / "model.safetensors")
    assert path.read_bytes() == before


@pytest.mark.fault(30)
def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path, before = saved(tmp_path)
    with pytest.raises(TypeError, match="loss"):
        fastbp.save(Network([2, 1], loss=lambda *args: None), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
