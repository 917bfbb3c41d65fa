"""Other libraries: NumPy's functions, DLPack and einops (``arrays``), PyTorch's spellings
(``overloads``, ``torch_names``, ``inplace``)."""

import typing as _typing

from tinyxp.interop import arrays, inplace, overloads, torch_names
from tinyxp.interop.overloads import *
from tinyxp.interop.torch_names import *

if not _typing.TYPE_CHECKING:  # type checkers read no computed list
    __all__ = [*overloads.__all__, *torch_names.__all__]
