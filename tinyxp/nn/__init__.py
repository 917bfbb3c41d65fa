"""Neural networks: modules, functions, first values; names and defaults follow torch.nn.

Each file of modules has its functions under the same name in ``functional``.
"""

from tinyxp.nn import functional, init, utils
from tinyxp.nn.activations import *
from tinyxp.nn.affine import *
from tinyxp.nn.attention import *
from tinyxp.nn.containers import *
from tinyxp.nn.dropouts import *
from tinyxp.nn.embeddings import *
from tinyxp.nn.hooks import *
from tinyxp.nn.inspection import *
from tinyxp.nn.losses import *
from tinyxp.nn.module import *
from tinyxp.nn.norms import *
from tinyxp.nn.parameter import *
from tinyxp.nn.positional import *
from tinyxp.nn.transformer import *
