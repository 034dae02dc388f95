"""Optimizers by name, with options written as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import integer, number
from glasscurv.optimizers import SGD, AdaHessian, Adam, AdamW, Alice, Optimizer

LBFGS = "lbfgs"


def lbfgs_options(maxcor: int = 10) -> dict[str, Any]:
    """Return the options of SciPy's L-BFGS-B that a method may set: the number of corrections kept."""
    return {"maxcor": integer(maxcor, "maxcor", 1)}


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "adahessian": AdaHessian,
    "alice": Alice,
}
"""The optimizers of `make_optimizer` by name."""

LEARNING_RATES: dict[str, float] = {
    "sgd": 10**-1.5,
    "adam": 10**-2.0,
    "adamw": 10**-2.0,
    "adahessian": 10**-1.0,
    "alice": 10**-1.5,
}
"""Middle of the grid of learning rates over which `compare` tunes each optimizer."""

GRID_COUNT = 7
GRID_RATIO = 10**0.5
"""Length of those grids, and ratio of neighbours in them."""

_BUILDERS: dict[str, Callable[..., Any]] = {**OPTIMIZERS, LBFGS: lbfgs_options}
_NOT_OPTIONS = {"self", "theta0", "lr", "rng"}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Method:
    """An optimizer with its options, as one line of a comparison.

    Parameters
    ----------
    name : str
        What tables and figures call it.
    optimizer : {"sgd", "adam", "adamw", "adahessian", "alice", "lbfgs"}
        Which optimizer; ``"lbfgs"`` is SciPy's L-BFGS-B on the whole training set.
    lr : float, optional
        Learning rate > 0 (length); by default it is tuned. ``"lbfgs"`` has none.
    options : mapping, optional
        Options of the optimizer's constructor: numbers, text, booleans, None, and tuples of them.

    Raises
    ------
    ValueError, TypeError
        An unknown optimizer or option, or a value that the optimizer refuses.

    See Also
    --------
    parse_method : Reads one from text.
    compare : Takes a sequence of them.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.comparison.Method("no glass", "alice", options={"glass": False}).lr is None
    True
    """

    name: str
    optimizer: str
    lr: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self.optimizer, self.options)
        for option, value in self.options.items():
            parts = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(part, bool | int | float | str | NoneType) for part in parts):
                raise TypeError(
                    f"option {option!r} of a method must be a number, text, boolean, None or a tuple of them, "
                    f"got {type(value).__name__}"
                )
        if self.lr is not None:
            if self.optimizer == LBFGS:
                raise ValueError(f"lbfgs has no learning rate, got lr={self.lr}")
            number(self.lr, "lr", 0, open_low=True)
        if self.optimizer == LBFGS:
            lbfgs_options(**self.options)
        else:
            rate = LEARNING_RATES[self.optimizer] if self.lr is None else self.lr
            make_optimizer(self.optimizer, np.zeros(1), rate, self.options, rng=0)

    @property
    def tuned(self) -> bool:
        """Whether a learning rate is to be found for it."""
        return self.lr is None and self.optimizer != LBFGS


def parse_method(text: str) -> Method:
    """Read a method from text: ``[name=]optimizer[:option=value,…]``.

    Parameters
    ----------
    text : str
        The options are those of the optimizer's constructor, and ``lr``. Without a name, the text is its name.

    Returns
    -------
    Method
        The optimizer with these options.

    Raises
    ------
    ValueError
        An unknown optimizer or option, or a value that does not fit; the message says what would.

    See Also
    --------
    parse_options : Reads the options alone.
    compare : Takes such texts as they are.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.comparison.parse_method("rms0=alice:hessian=rms,quick_steps=0,betas=0.9/0.99")
    Method(name='rms0', optimizer='alice', lr=None, options={'hessian': 'rms', 'quick_steps': 0, 'betas': (0.9, 0.99)})
    >>> gc.comparison.parse_method("sgd:momentum=0.9,lr=0.1").lr
    0.1
    """
    head, _, tail = text.partition(":")
    given, named, optimizer = head.partition("=")
    name, optimizer = (given.strip(), optimizer.strip()) if named else (text.strip(), head.strip())
    if not name:
        raise ValueError(f"a method must have a name before '=', got {text!r}")
    check_options(optimizer, {})
    items = [item for item in tail.split(",") if item.strip()]
    rates = [item for item in items if item.partition("=")[0].strip() == "lr"]
    if len(rates) > 1:
        raise ValueError(f"lr is given twice in {text!r}")
    lr = _convert(rates[0].partition("=")[2].strip(), float, "lr") if rates else None
    try:
        return Method(name, optimizer, lr, parse_options(optimizer, [item for item in items if item not in rates]))
    except TypeError as error:
        raise ValueError(f"{text!r}: {error}") from error


def parse_options(optimizer: str, options: Sequence[str]) -> dict[str, Any]:
    """Read options of an optimizer from texts of the form ``option=value``.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "adahessian", "alice", "lbfgs"}
        Which optimizer.
    options : sequence of str
        Texts whose values are numbers, words, ``true`` and ``false``, ``none`` where that is allowed, numbers joined by
        ``/`` for several.

    Returns
    -------
    dict
        Option to value, in the type that the constructor of the optimizer asks for.

    Raises
    ------
    ValueError
        An unknown optimizer or option, or a value of the wrong type.

    See Also
    --------
    make_optimizer : Takes these options.
    parse_method : Reads the name of the optimizer and the learning rate, too.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.comparison.parse_options("alice", ["glass=false", "betas=0.9/0.95", "length=1e-3"])
    {'glass': False, 'betas': (0.9, 0.95), 'length': 0.001}
    """
    check_options(optimizer, {})
    hints = get_type_hints(OPTIMIZERS[optimizer].__init__ if optimizer in OPTIMIZERS else lbfgs_options)
    values: dict[str, Any] = {}
    for text in options:
        option, sign, value = (part.strip() for part in text.partition("="))
        if not sign:
            raise ValueError(f"an option must have the form option=value, got {text!r}")
        check_options(optimizer, [option])
        if option in values:
            raise ValueError(f"option {option!r} of {optimizer} is given twice")
        values[option] = _convert(value, hints[option], option)
    return values


def make_optimizer(
    name: str,
    theta0: ArrayLike,
    lr: float | None = None,
    options: Mapping[str, Any] | None = None,
    rng: RngLike = None,
) -> Optimizer:
    """Build an optimizer from its name.

    Parameters
    ----------
    name : {"sgd", "adam", "adamw", "adahessian", "alice"}
        Which optimizer.
    theta0 : array_like of shape (n,)
        Initial parameters.
    lr : float, optional
        Learning rate; by default that of the constructor.
    options : mapping, optional
        Other options of the constructor.
    rng : None, int or Generator
        Source of random directions; optimizers that draw none leave it alone.

    Returns
    -------
    Optimizer
        The optimizer, before its first step.

    Raises
    ------
    ValueError, TypeError
        An unknown name or option, a value that the optimizer refuses, or no learning rate where it needs one.

    See Also
    --------
    parse_options : Reads options from text.
    glasscurv.optimizers.Optimizer : What all optimizers share.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.comparison.make_optimizer("sgd", [0.0, 1.0], 0.1, {"momentum": 0.9}).lr
    0.1
    """
    if name == LBFGS:
        raise ValueError(f"lbfgs is no minibatch optimizer and can only be compared; choose from {_listed(OPTIMIZERS)}")
    chosen = {} if options is None else dict(options)
    check_options(name, chosen)
    parameters = inspect.signature(OPTIMIZERS[name]).parameters
    if lr is not None:
        chosen["lr"] = lr
    elif parameters["lr"].default is inspect.Parameter.empty:
        raise ValueError(f"{name} needs a learning rate, got lr=None")
    if "rng" in parameters:
        chosen["rng"] = rng
    return OPTIMIZERS[name](theta0, **chosen)


def learning_rates(optimizer: str, grid: tuple[float, float, int] | None = None) -> FloatArray:
    """Return the learning rates that `compare` tries for an optimizer.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw", "adahessian", "alice"}
        Which optimizer.
    grid : tuple of (low, high, count), optional
        The same geometric grid for all. By default seven values, each the root of ten times the one before, around
        10^(−1.5) for sgd and alice, 10^(−2) for adam and adamw, and 10^(−1) for adahessian.

    Returns
    -------
    float64 ndarray of shape (count,)
        Learning rates, ascending.

    Raises
    ------
    ValueError, TypeError
        An unknown optimizer, or a grid that is not 0 < low ≤ high with count ≥ 1.

    See Also
    --------
    compare : Tries them.
    Tuning : What came of each.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.comparison.learning_rates("adam", (0.001, 0.1, 3)).tolist()
    [0.001, 0.01, 0.1]
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {_listed(OPTIMIZERS)}, got {optimizer!r}")
    if grid is None:
        powers = np.arange(GRID_COUNT) - GRID_COUNT // 2
        return np.asarray(LEARNING_RATES[optimizer] * GRID_RATIO**powers, np.float64)
    if len(grid) != 3:
        raise ValueError(f"lr_grid must be (low, high, count), got {grid!r}")
    low = number(grid[0], "low of lr_grid", 0, open_low=True)
    high = number(grid[1], "high of lr_grid", low)
    return np.geomspace(low, high, integer(grid[2], "count of lr_grid", 1))


def check_options(optimizer: str, options: Sequence[str] | Mapping[str, Any]) -> None:
    """Raise ValueError unless there is such an optimizer with such options."""
    if optimizer not in _BUILDERS:
        raise ValueError(f"unknown optimizer {optimizer!r}{_guess(optimizer, _BUILDERS)}: one of {_listed(_BUILDERS)}")
    known = [name for name in inspect.signature(_BUILDERS[optimizer]).parameters if name not in _NOT_OPTIONS]
    for option in options:
        if option not in known:
            raise ValueError(
                f"unknown option {option!r} of {optimizer}{_guess(option, known)}: one of {_listed(known)}"
            )


def _guess(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)


def _convert(text: str, hint: Any, option: str) -> Any:
    """Read a value of the annotated type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if NoneType in arguments and text.lower() == "none":
            return None
        return _convert(text, next(argument for argument in arguments if argument is not NoneType), option)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(f"option {option!r} must be one of {', '.join(arguments)}, got {text!r}")
        return text
    if origin is tuple:
        parts = text.split("/")
        if len(parts) != len(arguments):
            raise ValueError(f"option {option!r} must be {len(arguments)} numbers joined by '/', got {text!r}")
        return tuple(_convert(part, each, option) for part, each in zip(parts, arguments, strict=True))
    if hint is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"option {option!r} must be true or false, got {text!r}")
        return _BOOLEANS[text.lower()]
    if hint not in (int, float):
        raise ValueError(f"option {option!r} cannot be written as text")
    try:
        return hint(text)
    except ValueError:
        kind = "an integer" if hint is int else "a number"
        raise ValueError(f"option {option!r} must be {kind}, got {text!r}") from None
