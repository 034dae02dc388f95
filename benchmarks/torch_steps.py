"""Steps of Alice for PyTorch, all but the evaluations, against those of PyTorch's own Adam.

The closure of a step returns at once and leaves gradients that are ready. The model has two hundred tensors, every
other one small, as those of a deep network.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from types import ModuleType
from typing import Any

from benchmarks.measure import Measurement, NotMeasured, alternate, clock, ratio, scaled
from benchmarks.networks import import_torch
from benchmarks.row import Row, Scale

LAYERS = 100
WARM_UP = 2  # steps, with an averaging weight of a half
CYCLE = 4  # steps of Alice with the default three quick ones
NEVER = 10**9  # quick steps between full ones


def parameters(torch: ModuleType, total: int, device: str) -> list[Any]:
    """Return weights and biases of many layers, about `total` numbers."""
    width = isqrt(total // LAYERS)
    return [torch.nn.Parameter(torch.ones(shape, device=device)) for shape in ((width, width), (width,)) * LAYERS]


def draw_gradients(torch: ModuleType, tensors: list[Any], random: Any) -> None:
    """Leave other gradients at every call, as evaluations at other points do: Alice sets back the common generators."""
    for tensor in tensors:
        tensor.grad = 1e-3 * torch.randn(tensor.shape, generator=random, device=tensor.device)


def alice(torch: ModuleType, total: int, device: str, quick_steps: int) -> Callable[[], object]:
    """Return a step of an optimizer past its warm-up, which fills its state."""
    from glasscurv.integrations.torch import Alice

    tensors, loss, random = parameters(torch, total, device), torch.ones((), device=device), torch.Generator(device)
    optimizer = Alice(tensors, betas=(0.5, 0.999), quick_steps=quick_steps)

    def evaluate() -> Any:
        draw_gradients(torch, tensors, random)
        return loss

    while optimizer.steps < WARM_UP:
        optimizer.step(evaluate)
    return partial(optimizer.step, lambda: loss)


def adam(torch: ModuleType, total: int, device: str, **options: bool) -> Callable[[], object]:
    """Return a step of Adam."""
    tensors = parameters(torch, total, device)
    draw_gradients(torch, tensors, torch.Generator(device))
    step: Callable[[], object] = torch.optim.Adam(tensors, **options).step
    return step


def quick_step(scale: Scale) -> Measurement:
    """Compare a quick step with one of Adam, on the processor."""
    torch = import_torch()
    sides = {
        "Alice": alice(torch, scale.parameters, "cpu", NEVER),
        "Adam": adam(torch, scale.parameters, "cpu", foreach=True),
    }
    return alternate({name: clock(step) for name, step in sides.items()}, ratio, scale.repetitions)


def mean_step_on_gpu(scale: Scale) -> Measurement:
    """Compare the mean of three quick steps and a full one with a step of Adam, on a GPU."""
    torch = import_torch()
    if not torch.cuda.is_available():
        raise NotMeasured("no GPU that PyTorch can use")

    def finished(step: Callable[[], object], calls: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                step()
            torch.cuda.synchronize()

        return run

    total = scale.sizes[-1]
    cycle = finished(alice(torch, total, "cuda", CYCLE - 1), CYCLE)
    steps = finished(adam(torch, total, "cuda", fused=True), CYCLE)
    sides = {"Alice": scaled(clock(cycle), 1 / CYCLE), "Adam": scaled(clock(steps), 1 / CYCLE)}
    return alternate(sides, ratio, scale.repetitions)


ROWS = (
    Row(
        "torch-alice-quick",
        f"Alice for PyTorch, a quick step, all but the evaluation, {2 * LAYERS} tensors, float32",
        "torch.optim.Adam(foreach=True)",
        3,
        quick_step,
    ),
    Row(
        "torch-alice-gpu",
        f"Alice for PyTorch on a GPU, the mean of three quick steps and a full one, all but the evaluations, "
        f"{2 * LAYERS} tensors, 10⁸ parameters, float32",
        "torch.optim.Adam(fused=True)",
        15,
        mean_step_on_gpu,
    ),
)
