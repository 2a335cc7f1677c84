"""Scripts in processes of their own that find scikit-learn, matplotlib and fastbp imported.

The imports take two seconds, longer than many a script. A server imports the modules once and forks a child for each
script. The child runs it as ``python script`` and ``python -c code`` do: in a new `__main__`, with its own arguments,
folder, environment, pipes and exit status, and with the usual end of an interpreter. Elsewhere than on Linux, where a
fork is not safe after these imports, and under a sanitizer, each script gets a new interpreter.

Not for tests of what happens while modules are imported, or of how much memory a process can still get: the children
have free blocks of the server.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from contextlib import suppress
from functools import cache

MODULES = ("sklearn.datasets", "sklearn.model_selection", "fastbp", "matplotlib.backends.backend_agg")
FORKS = sys.platform.startswith("linux") and "san" not in os.environ.get("LD_PRELOAD", "")


def start(arguments, cwd=None, stderr=None, variables=None, **imported_with):
    """Begin to run a script.

    Parameters
    ----------
    arguments : sequence
        Those of the interpreter: a script, or "-c" and code, and what the script finds in `sys.argv`.
    cwd : path-like, optional
    stderr : file, optional
        By default that of the tests.
    variables : dict, optional
        Of the environment, in addition to `os.environ`.
    **imported_with
        Variables of the environment that count while modules are imported; each set of them has a server of its own.

    Returns
    -------
    Child or subprocess.Popen
        Its `stdin` and `stdout` are pipes.
    """
    arguments, cwd = [str(argument) for argument in arguments], str(cwd or os.getcwd())
    environment = {**os.environ, **imported_with, **(variables or {})}
    if FORKS:
        return Child(server(**imported_with), (arguments, cwd, environment), stderr)
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
    return subprocess.Popen([sys.executable, *arguments], cwd=cwd, env=environment, **pipes)


def run(arguments, timeout=300, **options):
    """Run a script to its end, with the options of `start`. It is killed after `timeout` seconds.

    Returns
    -------
    subprocess.CompletedProcess
    """
    with tempfile.TemporaryFile("w+") as stderr:
        process = start(arguments, stderr=stderr, **options)
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        process.stdin.close()
        with process.stdout:
            output = process.stdout.read()
        code = process.wait()
        timer.cancel()
        stderr.seek(0)
        return subprocess.CompletedProcess(arguments, code, output, stderr.read())


class Child:
    """A child of a server; it has the methods of `subprocess.Popen` that the tests need."""

    def __init__(self, server, script, stderr):
        stdin, to_child = os.pipe()
        from_child, stdout = os.pipe()
        self.stdin, self.stdout, self.returncode = os.fdopen(to_child, "w"), os.fdopen(from_child), None
        self._server = server
        self.pid = server.ask(script, [stdin, stdout, (stderr or sys.__stderr__).fileno()])
        os.close(stdin)
        os.close(stdout)

    def wait(self, timeout=None):
        """The exit status. `timeout` is not looked at: the tests kill what hangs."""
        if self.returncode is None:
            self.returncode = self._server.ask(self.pid)
        return self.returncode

    def send_signal(self, number):
        """Not after `wait`."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


# The server


@cache
def server(**imported_with):
    """The server whose modules are imported with these variables."""
    return Server({**os.environ, **imported_with})


class Server:
    """The connection to a server."""

    def __init__(self, environment):
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(self.close)

    def close(self):
        """The server ends when its connection does."""
        self._socket.close()
        self._process.wait()

    def ask(self, question, descriptors=()):
        """Have a script run, with three files, or wait for a child: its number, or its exit status."""
        message = json.dumps(question).encode()
        head = len(message).to_bytes(8, "big")
        socket.send_fds(self._socket, [head], descriptors) if descriptors else self._socket.sendall(head)
        self._socket.sendall(message)
        answer = self._socket.recv(64)
        if not answer:
            raise RuntimeError("the process that forks children is gone")
        return int(answer)


def serve(connection):
    """Fork a child for each script. Returns in the children: the script; in the server, when nobody asks any more."""
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
        if not head:
            return None
        message = b""
        while len(message) < int.from_bytes(head, "big"):
            message += connection.recv(2**16)
        question = json.loads(message)
        if descriptors:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of threads: those of BLAS end before a fork
                answer = os.fork()
            if answer == 0:
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                return question
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(question, 0)[1])
        connection.sendall(b"%d" % answer)


def run_here(arguments, cwd, environment):
    """What ``python arguments`` does, in this process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.modules["numpy"].random.seed()  # else all children draw the same numbers
    code = arguments[1] if arguments[0] == "-c" else None
    sys.argv = arguments if code is None else ["-c", *arguments[2:]]
    sys.path[0] = os.path.dirname(os.path.abspath(arguments[0])) if code is None else ""
    paths = [os.path.abspath(path) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[1:1] = [path for path in paths if path not in sys.path]
    if code is None:
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(main))


if __name__ == "__main__":
    for name in MODULES:
        with suppress(ImportError):  # matplotlib is optional
            importlib.import_module(name)
    gc.freeze()  # the pages of these objects stay shared
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        script = serve(channel)
    if script is not None:
        run_here(*script)
