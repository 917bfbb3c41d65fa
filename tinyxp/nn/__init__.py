"""Neural networks: modules, functions, first values; names and defaults follow torch.nn.

Each file of modules has its functions under the same name in ``functional``.
"""

from tinyxp.nn import functional, init, utils
from tinyxp.nn.activations import *
from tinyxp.nn.adaptive import *
from tinyxp.nn.adaptive_softmax import *
from tinyxp.nn.affine import *
from tinyxp.nn.attention import *
from tinyxp.nn.classification import *
from tinyxp.nn.containers import *
from tinyxp.nn.convolution import *
from tinyxp.nn.ctc import *
from tinyxp.nn.distances import *
from tinyxp.nn.dropouts import *
from tinyxp.nn.embeddings import *
from tinyxp.nn.folding import *
from tinyxp.nn.hooks import *
from tinyxp.nn.inspection import *
from tinyxp.nn.lazy import *
from tinyxp.nn.margins import *
from tinyxp.nn.maxima import *
from tinyxp.nn.module import *
from tinyxp.nn.norms import *
from tinyxp.nn.padding import *
from tinyxp.nn.parameter import *
from tinyxp.nn.parameter_containers import *
from tinyxp.nn.pooling import *
from tinyxp.nn.positional import *
from tinyxp.nn.probabilities import *
from tinyxp.nn.rearranging import *
from tinyxp.nn.rectifiers import *
from tinyxp.nn.recurrent import *
from tinyxp.nn.recurrent_cells import *
from tinyxp.nn.regression import *
from tinyxp.nn.resampling import *
from tinyxp.nn.transformer import *
from tinyxp.nn.transformer_layers import *
