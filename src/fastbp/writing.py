"""Files that are whole at any time: written aside, flushed to the disk, and renamed."""

import os
from contextlib import suppress
from pathlib import Path
from stat import S_IMODE, S_ISREG
from uuid import uuid4


def write_atomically(path, content):
    """Write a file so that there is the old one or the whole new one at any time.

    The content goes to a file ``<path>.<hex digits>.tmp`` in the same folder, which is removed if anything fails. Only
    a process that is killed, or a machine that stops, leaves it behind.

    Parameters
    ----------
    path : str or PathLike
        A link is followed. A file that is there keeps its permissions; a new one has those of `open`.
    content : bytes

    Raises
    ------
    OSError
        Where the file cannot be written, or what is there is no file: a device, say.
    """
    path = os.path.realpath(os.fspath(path))
    mode = None
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
    if mode is not None and not S_ISREG(mode):
        raise OSError(f"{path!r} is no regular file, and would be replaced by one")
    aside = f"{path}.{uuid4().hex}.tmp"
    try:
        with open(aside, "xb") as file:  # the tempfile module would let the owner read it only
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(aside, S_IMODE(mode))
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    flush_folder(os.path.dirname(path))


def flush_folder(path):
    """Have the names in a folder on the disk: a rename is kept in memory until then. Where the system, or its file
    system, cannot do it, nothing is done: the rename itself is whole."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
