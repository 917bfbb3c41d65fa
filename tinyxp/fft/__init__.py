"""The Fourier transforms of the Array API: the functions in ``fourier``, their primitives in
``dft``."""

from tinyxp.fft.fourier import *
from tinyxp.fft.fourier import __all__ as __all__
