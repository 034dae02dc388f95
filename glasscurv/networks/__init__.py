"""Dense networks with exact gradients and Hessian-vector products over flat parameter vectors."""

from glasscurv.networks.activations import ACTIVATIONS, Activation, leaky_relu
from glasscurv.networks.crossings import Crossings, trace_crossings
from glasscurv.networks.losses import LOSSES, Loss
from glasscurv.networks.mlp import MLP

__all__ = ["ACTIVATIONS", "LOSSES", "MLP", "Activation", "Crossings", "Loss", "leaky_relu", "trace_crossings"]
