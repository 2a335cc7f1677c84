"""Files that are whole at any time; `writing.py`."""

import os
import stat
import sys

import pytest

from fastbp import writing
from fastbp.writing import write_atomically

needs_permissions = pytest.mark.skipif(sys.platform == "win32", reason="no permissions there")


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_and_one_that_is_there(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["file"]


@needs_permissions
@pytest.mark.usefixtures("umask")
def test_permissions_are_those_of_open(tmp_path):
    write_atomically(tmp_path / "new", b"")
    assert mode_of(tmp_path / "new") == 0o640
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o604)
    write_atomically(tmp_path / "old", b"")
    assert mode_of(tmp_path / "old") == 0o604


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "file")
    write_atomically(link, b"content")
    assert link.is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == b"content"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there is no such device")
def test_a_device_stays_one():
    with pytest.raises(OSError, match="is no regular file"):
        write_atomically("/dev/null", b"content")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_nothing_is_left_after_a_failure(step, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError(step)

    monkeypatch.setattr(writing.os, step, fail)
    with pytest.raises(OSError, match=step):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_flushed(tmp_path, monkeypatch):
    """The file before the rename, the folder after it: else a machine that stops may lose both."""
    calls = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(writing.os, name, lambda *a, f=function, name=name: (calls.append(name), f(*a))[1])
    write_atomically(tmp_path / "file", b"content")
    assert calls == (["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"])


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", b"")
