"""The CUDA sources of the package, compiled by g++ and run block by block on the CPU (gpu.h).

This tests what the sources compute, and the Python around them. It is no GPU and no CuPy: whether
they run there, and how fast, only a GPU can tell.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tinyxp import backends
from tinyxp.backends.cupy import launch as cuda_source
from tinyxp.backends.cupy.launch import DECLARED, Library

HEADER = Path(__file__).with_name("gpu.h")
TENSOR_CORES = Path(__file__).with_name("tensor_cores.h")
COMPILER = shutil.which("g++")
KINDS = {ctypes.c_void_p: "p", ctypes.c_longlong: "i", ctypes.c_double: "d"}
_own = tempfile.TemporaryDirectory(prefix="cuda_on_cpu")
folder = Path(_own.name)  # in a run of the tests the one that its processes share: conftest.py


def compile(path, *options):
    """What g++ makes of a file. Almost all of the time goes into compiling: so no optimisation."""
    command = [
        COMPILER,
        "-std=c++17",
        "-O0",
        "-fPIC",
        "-U_FORTIFY_SOURCE",
        "-Wno-unknown-pragmas",
        *options,
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@functools.cache
def header():
    """gpu.h, compiled once for all sources."""
    own = folder / str(os.getpid())  # g++ finds a compiled header by its name alone
    own.mkdir(parents=True)
    path = own / HEADER.name
    shutil.copy(HEADER, path)
    compile(path, "-x", "c++-header", "-o", f"{path}.gch")
    return path


@functools.cache
def library(text):
    """A source, compiled, with a function ``launch_NAME`` for each of its kernels."""
    instructions = cuda_source.text("tensor_cores.cuh")
    text = text.replace(instructions, TENSOR_CORES.read_text(encoding="utf-8"))
    entries = [
        f'extern "C" const char* launch_{name}(const long long* sizes, const char* kinds, '
        f"void** args) {{ return gpu::launch<{name}>({name}, sizes, kinds, args); }}"
        for name in DECLARED.findall(text)
    ]
    code = "\n".join([text, *entries, ""])
    name = hashlib.sha256(code.encode()).hexdigest()[:16]
    made = folder / f"{name}.so"
    if not made.exists():
        source, fresh = (header().parent / f"{name}.{kind}" for kind in ("cpp", "so"))
        source.write_text(code, encoding="utf-8")
        options = "-shared", f"-I{HEADER.parent}", "-include", str(header()), "-o", str(fresh)
        compile(source, *options)
        fresh.replace(made)  # whole, for the other processes
    return ctypes.CDLL(str(made))


def on_cpu(backwards=False, change=lambda text: text):
    """NumPy with the kernels run on the CPU, threads in this order; ``change`` is for mutants."""

    def launch(name, grid, block, args, dtype, defines=(), shared=0):
        text = change(cuda_source.source(cuda_source.homes()[name], dtype, tuple(defines)))
        sizes = [*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3], shared, int(backwards)]
        args = [np.asarray(x) if isinstance(x, np.generic) else x for x in args]  # NumPy's numbers
        values = [_value(x) for x in args]
        pointers = [ctypes.cast(ctypes.byref(x), ctypes.c_void_p) for x in values]
        kernel = library(text)[f"launch_{name}"]
        kernel.restype = ctypes.c_char_p
        kinds = "".join(KINDS[type(x)] for x in values)
        sizes, pointers = (ctypes.c_longlong * 8)(*sizes), (ctypes.c_void_p * len(args))(*pointers)
        expected = kernel(sizes, kinds.encode(), pointers).decode()
        assert not expected, f"{name} takes arguments {expected}, got {kinds}"

    matmul = backends.get("numpy").xp.matmul  # which adds up 16 bits in float32

    def linear(x, weight, bias):
        y = matmul(x, weight.T)
        return y if bias is None else y + bias

    return Library(
        xp=np,
        launch=launch,
        address=lambda x: x.ctypes.data,
        usable=lambda x: type(x) is np.ndarray,
        matmul=matmul,
        linear=linear,
        on=nullcontext,
        tensor_cores=lambda: True,
    )


def expect_noticed(check, text, instead):
    """That ``check(library)`` fails with ``instead`` in the place of a text of the sources; a
    missing barrier shows in one of the two orders of threads."""
    for order in (False, True):
        try:
            check(on_cpu(order, lambda whole: whole.replace(text, instead)))
        except AssertionError:
            return
    raise AssertionError(f"nothing noticed {instead!r} in the place of {text!r}")


def _value(x):
    """An argument as the kernel declares it: a pointer, a long long, or a double."""
    if x is None or isinstance(x, np.ndarray):
        return ctypes.c_void_p(0 if x is None else x.ctypes.data)
    return ctypes.c_double(x) if isinstance(x, float) else ctypes.c_longlong(x)
