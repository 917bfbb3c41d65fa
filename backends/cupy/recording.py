"""CUDA graphs: launches recorded from a stream, and replayed by one call."""

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cupy

from tinyxp.backends import Array
from tinyxp.backends.cupy.capture import DeviceCapture, DeviceRecording
from tinyxp.backends.cupy.checks import Checks
from tinyxp.backends.cupy.device import private_pools, with_explanation
from tinyxp.backends.cupy.kernels.optimizer import ManyArrays
from tinyxp.backends.cupy.launch import Library
from tinyxp.errors import CaptureError, TinyError


class GraphRecording(DeviceRecording):
    """What a function launches on the GPU in use.

    ``run`` and ``record`` run it on a stream of their own, in memory of a pool that serves nothing
    else: a replay writes where the recording wrote.
    """

    def __init__(self, library: Library, checks: Checks) -> None:
        self.checks, self.many = checks, ManyArrays(library)
        self.pool = cupy.cuda.MemoryPool()
        private_pools[id(self)] = self.pool
        weakref.finalize(self, private_pools.pop, id(self), None)
        self.stream = cupy.cuda.Stream(non_blocking=True)
        shared = cupy.cuda.get_allocator()
        self.capture = DeviceCapture(self, library, lambda: cupy.cuda.using_allocator(shared))
        self.parts = []  # CUDA graphs, and calls of the host in between
        self.device: Any = None  # whose indices the graph checks

    def place(self, array: Array) -> Array:
        place = cupy.empty(array.shape, dtype=array.dtype)
        self.copy([place], [array])  # so that its kernel is loaded before it is recorded
        return place

    def run(self, f: Callable[[], Any]) -> Any:
        """``f()`` on the stream and in the memory of the recording; waits for both streams."""
        cupy.cuda.get_current_stream().synchronize()
        allocator = with_explanation(self.pool.malloc)
        with self.stream, cupy.cuda.using_allocator(allocator), self.capture.active():
            try:
                return f()
            finally:
                self.stream.synchronize()

    def record(self, f: Callable[[], Any]) -> Any:
        """What ``f()`` returns; its launches are recorded and not done."""
        gc.collect()  # freeing memory in between might wait for the device
        open_before, self.checks.open = self.checks.open, set()
        self.capture.recording = True
        try:
            value = self.run(lambda: self._recorded(f))
        finally:
            self.capture.recording = False
            found, self.checks.open = self.checks.open, open_before
        self.device = next(iter(found), None)
        self.capture.finish()
        return value

    def _recorded(self, f: Callable[[], Any]) -> Any:
        self.stream.begin_capture()  # "relaxed": the pool may ask the driver for memory
        try:
            value = f()
            self._end()
        except BaseException as error:
            with suppress(Exception):  # the same error again
                self.stream.end_capture()
            if not isinstance(error, Exception) or isinstance(error, CaptureError):
                raise
            raise CaptureError(explain(error)) from error
        return value

    def _end(self) -> None:
        graph = self.stream.end_capture()
        self.parts += [self.capture.scalars.refresh, graph.launch]

    def cut(self, call: Callable[[], None]) -> None:
        self._end()
        self.parts.append(call)
        self.stream.begin_capture()

    def copy(self, to: list[Array], values: list[Array]) -> None:
        for array, value in self.many.copy(to, values):
            cupy.copyto(array, value)

    def replay(self) -> bool:
        """On the stream in use."""
        done = super().replay()
        if done and self.device is not None:
            self.checks.open.add(self.device)
        return done


def explain(error: BaseException) -> str:
    """Why a step that raised an error cannot be recorded."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    text = " ".join(map(str, causes))
    first = (str(error).splitlines() or [type(error).__name__])[0]
    if "cuBLAS API" in text or "cuSOLVER" in text or "cuSPARSE" in text or "cuRAND" in text:
        advice = (
            "CuPy's own calls of CUDA's libraries cannot be captured; products of float32 and "
            "float64 by @, matmul and linear can, as tinyxp calls cuBLAS itself for them"
        )
    elif "apturing" in text or "StreamCapture" in text:
        advice = (
            "it copies between host and device, or waits for the device: boolean masks, nonzero, "
            "unique, numbers from NumPy; do that outside, and pass the result as an input"
        )
    elif isinstance(error, TinyError):
        advice = "the same step ran well before, outside of a graph"
    else:
        advice = "the step did well outside of a graph; look at the error above this one"
    return f"this step cannot be captured: {first}. {advice[0].upper()}{advice[1:]}"
