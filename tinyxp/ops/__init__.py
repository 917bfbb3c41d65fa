"""The Array API's functions, each followed by its vjp; a file holds a theme.

``creation``, ``regular``: new tensors. ``shaping``, ``orders``, ``repetition``, ``padding``: the
same elements arranged differently. ``arithmetic``, ``bounds``, ``complexes``, ``exponential``,
``logic``, ``rounding``, ``trigonometric``: elementwise. ``reductions``, ``scans``, ``linear``: sums
and products. ``searching``, ``sets``, ``sorting``: order. ``indexing``, ``gathering``, ``parts``,
``windows``: elements by their places. ``methods``: operators. ``info``: inspection.
"""

import inspect as _inspect
import typing as _typing

from tinyxp.ops import methods
from tinyxp.ops.arithmetic import *
from tinyxp.ops.bounds import *
from tinyxp.ops.complexes import *
from tinyxp.ops.creation import *
from tinyxp.ops.exponential import *
from tinyxp.ops.gathering import *
from tinyxp.ops.indexing import *
from tinyxp.ops.linear import *
from tinyxp.ops.logic import *
from tinyxp.ops.orders import *
from tinyxp.ops.padding import *
from tinyxp.ops.parts import *
from tinyxp.ops.reductions import *
from tinyxp.ops.regular import *
from tinyxp.ops.repetition import *
from tinyxp.ops.rounding import *
from tinyxp.ops.scans import *
from tinyxp.ops.searching import *
from tinyxp.ops.sets import *
from tinyxp.ops.shaping import *
from tinyxp.ops.sorting import *
from tinyxp.ops.trigonometric import *

if not _typing.TYPE_CHECKING:  # type checkers read no computed list; star imports suffice for them
    __all__ = [name for name, x in vars().items() if name[0] != "_" and not _inspect.ismodule(x)]
