"""Functions of layers without their parameters, under PyTorch's names: ``tx.nn.functional``."""

from tinyxp.nn.functional.activations import *
from tinyxp.nn.functional.adaptive import *
from tinyxp.nn.functional.affine import *
from tinyxp.nn.functional.attention import *
from tinyxp.nn.functional.classification import *
from tinyxp.nn.functional.convolution import *
from tinyxp.nn.functional.ctc import *
from tinyxp.nn.functional.distances import *
from tinyxp.nn.functional.dropouts import *
from tinyxp.nn.functional.embeddings import *
from tinyxp.nn.functional.folding import *
from tinyxp.nn.functional.grids import *
from tinyxp.nn.functional.margins import *
from tinyxp.nn.functional.maxima import *
from tinyxp.nn.functional.multihead import *
from tinyxp.nn.functional.norms import *
from tinyxp.nn.functional.overwriting import *
from tinyxp.nn.functional.padding import *
from tinyxp.nn.functional.pooling import *
from tinyxp.nn.functional.probabilities import *
from tinyxp.nn.functional.rearranging import *
from tinyxp.nn.functional.rectifiers import *
from tinyxp.nn.functional.recurrent import *
from tinyxp.nn.functional.regression import *
from tinyxp.nn.functional.resampling import *
