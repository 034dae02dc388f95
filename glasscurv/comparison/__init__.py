"""Fair comparison of optimizers: the same starts, the same minibatches and the same number of gradients for all.

Evaluations
    are gradients of one minibatch. Every method may spend ``epochs`` × minibatches an epoch of them and not one more:
    an optimizer that takes three gradients a step gets a third of the steps, and a step for which those left do not
    suffice is not taken. L-BFGS works on the whole training set, and each of its evaluations counts as all minibatches
    of an epoch.
Records
    are taken of the start, then after the first step at or beyond every multiple of `budget`/200 evaluations, rounded
    up, the same for all methods, and after the last step; of L-BFGS after each iteration. The target is reached at the
    first record that is as good: what a step found between two records counts from the next one.
Failures
    are runs in which a loss or gradient became nan or infinite, at whatever time: one that diverges after it has
    reached the target counts as missed. A run that could not take a single step ends where it started.
Starts
    depend on the seed alone: initial parameters, random directions and the order of minibatches each have a stream of
    random numbers of their own, the same for every method.
Learning rates
    are tuned on seeds of their own over grids of the same length and ratio, so that tuning costs every method the same.
Seconds
    are wall-clock time of the training without validation and without compilation: a throwaway optimizer steps, and
    moves, before the watch starts. They are the one result that depends on the machine and on what else it does. BLAS
    runs on one thread during a run if threadpoolctl is installed; without it, set ``OMP_NUM_THREADS=1`` where worker
    processes fill the machine.
"""

from glasscurv.comparison.methods import (
    LEARNING_RATES,
    OPTIMIZERS,
    Method,
    learning_rates,
    make_optimizer,
    parse_method,
    parse_options,
)
from glasscurv.comparison.results import Comparison, MethodResult, Trial, Tuning
from glasscurv.comparison.study import compare

__all__ = [
    "LEARNING_RATES",
    "OPTIMIZERS",
    "Comparison",
    "Method",
    "MethodResult",
    "Trial",
    "Tuning",
    "compare",
    "learning_rates",
    "make_optimizer",
    "parse_method",
    "parse_options",
]
