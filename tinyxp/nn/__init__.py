"""Neural networks: modules, functions and initialization, with names and defaults of torch.nn.

The functions of a file of modules are in the file of the same name in ``functional``.
"""

from tinyxp.nn import functional, init, utils
from tinyxp.nn.activations import *
from tinyxp.nn.adaptive_pooling import *
from tinyxp.nn.adaptive_softmax import *
from tinyxp.nn.attention import *
from tinyxp.nn.average_pooling import *
from tinyxp.nn.classification_losses import *
from tinyxp.nn.containers import *
from tinyxp.nn.convolution import *
from tinyxp.nn.ctc import *
from tinyxp.nn.distances import *
from tinyxp.nn.dropouts import *
from tinyxp.nn.embeddings import *
from tinyxp.nn.folding import *
from tinyxp.nn.hooks import *
from tinyxp.nn.interpolation import *
from tinyxp.nn.lazy import *
from tinyxp.nn.linear_layers import *
from tinyxp.nn.margin_losses import *
from tinyxp.nn.max_pooling import *
from tinyxp.nn.model_summary import *
from tinyxp.nn.module import *
from tinyxp.nn.normalization import *
from tinyxp.nn.padding import *
from tinyxp.nn.parameter import *
from tinyxp.nn.parameter_containers import *
from tinyxp.nn.piecewise_activations import *
from tinyxp.nn.positional_encoding import *
from tinyxp.nn.probability_losses import *
from tinyxp.nn.recurrent import *
from tinyxp.nn.recurrent_cells import *
from tinyxp.nn.regression_losses import *
from tinyxp.nn.shuffle import *
from tinyxp.nn.transformer import *
from tinyxp.nn.transformer_layers import *
