"""Launches recorded and replayed on the CPU, as a stream's capture does on a GPU: while recording,
nothing runs. What is no kernel of ours runs as ever, and is not replayed."""

from dataclasses import replace

import numpy as np

from tests.backends.cuda_on_cpu import on_cpu
from tinyxp.backends.cupy.capture import DeviceCapture, DeviceRecording
from tinyxp.backends.cupy.kernels.optimizer import ManyArrays


class Recorder:
    """Kernels for the numpy backend, and recordings of their launches."""

    def __init__(self, **options):
        own = on_cpu(**options)
        self.run = own.launch
        self.tape = None
        self.library = replace(own, launch=self.launch)

    def launch(self, *args, **options):
        self.do(lambda: self.run(*args, **options))

    def do(self, call):
        if self.tape is None:
            call()
        else:
            self.tape.append(call)

    def recording(self):
        return Recording(self)


class Recording(DeviceRecording):
    """What ``tx.capture`` asks of ``GraphRecording``."""

    def __init__(self, recorder):
        self.recorder = recorder
        self.capture = DeviceCapture(self, recorder.library)

    def run(self, f):
        with self.capture.active():
            return f()

    def record(self, f):
        self.parts, self.recorder.tape = [], []
        self.capture.recording = True
        try:
            value = self.run(f)
            self.end()
        finally:
            self.capture.recording = False
            self.recorder.tape = None
        self.capture.finish()
        return value

    def end(self):
        self.parts += [self.capture.scalars.refresh, *self.recorder.tape]
        self.recorder.tape = []

    def cut(self, call):
        self.end()
        self.parts.append(call)

    def copy(self, to, values):
        for pair in ManyArrays(self.recorder.library).copy(to, values):
            self.recorder.do(lambda pair=pair: np.copyto(*pair))
