"""Alice's arithmetic on lists of tensors (theory, sections 5, 6 and 8), with the names of `glasscurv.core.steps`.

It runs block by block: on the CPU the temporary arrays of a block stay in the cache, on an accelerator they stay small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from glasscurv.constants import GLASS_STEP_COEFFICIENT

BLOCK = {"cpu": 1 << 17}
"""Numbers of a block, by kind of device."""
ACCELERATOR_BLOCK = 1 << 22


class Rule(NamedTuple):
    """What one step of a group goes by; `weights` are B₁, B₂ and B₃ of theory, section 8."""

    weights: tuple[float, float, float]
    eps: float
    l1: float
    l2: float
    step_fraction: float
    lookahead: float
    limiter: str
    lr_min: float
    lr_max: float
    hessian: str
    glass: bool
    length: float
    warming_up: bool


def blocks(*columns: list[Tensor]) -> Iterator[list[list[Tensor]]]:
    """Cut parallel lists of tensors into parallel lists of about a block: small tensors together, large ones in pieces.

    Pieces are views. Tensors that are not contiguous stay whole.
    """
    largest = BLOCK.get(columns[0][0].device.type, ACCELERATOR_BLOCK)
    rows: list[tuple[Tensor, ...]] = []
    total = 0
    for row in zip(*columns, strict=True):
        size = row[0].numel()
        if size > largest and all(tensor.is_contiguous() for tensor in row):
            for pieces in zip(*(tensor.view(-1).split(largest) for tensor in row), strict=True):
                yield [[piece] for piece in pieces]
            continue
        if rows and total + size > largest:
            yield list(map(list, zip(*rows, strict=True)))
            rows, total = [], 0
        rows.append(row)
        total += size
    if rows:
        yield list(map(list, zip(*rows, strict=True)))


def measure(
    rule: Rule,
    plus: list[Tensor],
    minus: list[Tensor],
    center: list[Tensor],
    direction: list[Tensor],
    curvature: list[Tensor],
    density: list[Tensor],
) -> None:
    """Section 8, step 1: refresh C and R from three gradients; `plus` and `minus` are overwritten."""
    for block in blocks(plus, minus, center, direction, curvature, density):
        g_plus, g_minus, g, z, c, r = block
        product = torch._foreach_sub(g_plus, g_minus)
        torch._foreach_mul_(product, 0.5 / rule.length)
        if rule.hessian == "rms":
            torch._foreach_mul_(product, product)
        elif rule.hessian == "diagonal":
            torch._foreach_mul_(product, z)
        else:
            torch._foreach_abs_(product)
        torch._foreach_add_(product, rule.l2 * rule.l2 if rule.hessian == "rms" else rule.l2)
        torch._foreach_lerp_(c, product, 1 - rule.weights[2])
        # Differences from the centre are small and so nearly exact; the sum of both gradients would be rounded.
        torch._foreach_sub_(g_plus, g)
        torch._foreach_sub_(g_minus, g)
        torch._foreach_add_(g_plus, g_minus)
        torch._foreach_mul_(g_plus, math.sqrt(0.5 / rule.length))
        torch._foreach_mul_(g_plus, g_plus)
        torch._foreach_lerp_(r, g_plus, 1 - rule.weights[2])


def update(
    rule: Rule,
    parameters: list[Tensor],
    gradient: list[Tensor],
    center: list[Tensor],
    lookahead: list[Tensor],
    average: list[Tensor],
    second_moment: list[Tensor],
    curvature: list[Tensor],
    density: list[Tensor],
) -> None:
    """Section 8, steps 2 to 4: the averages, then unless the group is warming up μ and ν; the parameters become μ."""
    for block in blocks(parameters, gradient, center, lookahead, average, second_moment, curvature, density):
        theta, g, mu, nu, slopes, moments, c, r = block
        torch._foreach_mul_(moments, rule.weights[1])
        torch._foreach_addcmul_(moments, g, g, value=1 - rule.weights[1])
        torch._foreach_lerp_(slopes, _regularized(g, nu, rule), 1 - rule.weights[0])
        if not rule.warming_up:
            steps = _like(mu, displacement(rule, _flat(slopes), _flat(moments), _flat(c), _flat(r)))
            torch._foreach_copy_(nu, mu)
            torch._foreach_add_(nu, steps, alpha=-rule.lookahead)
            torch._foreach_add_(mu, steps, alpha=-rule.step_fraction)
        torch._foreach_copy_(theta, mu)


def displacement(rule: Rule, slopes: Tensor, moments: Tensor, curvature: Tensor, density: Tensor) -> Tensor:
    """Return −δ = sign(G) d, of equation (11) and section 6: G / clamp(h* + ε, U/lr_max, U/lr_min), U the unit.

    With b = aρ/2 and m = b + h(|G| + ε), h* = (√b + √m)²/(|G| + ε): roots before products, so nothing overflows but an
    h* that is too large itself, and nothing cancels. No divisor is below ε, so no step is a nan.
    """
    shifted = slopes.abs().add_(rule.eps)
    star = _mixed(rule, curvature, shifted)
    if rule.glass:
        half = 0.5 * GLASS_STEP_COEFFICIENT
        star = _root(star.add_(density, alpha=half)).add_(_root(density), alpha=math.sqrt(half))
        star.mul_(star)
    star.div_(shifted).add_(rule.eps)
    if rule.limiter == "fixed":
        length = slopes.abs().div_(star).clamp_(rule.lr_min, rule.lr_max)
        return torch.where(slopes > 0, length, -length)
    least, largest = (1 / bound if bound else math.inf for bound in (rule.lr_max, rule.lr_min))
    if rule.limiter == "sgdm":
        star.clamp_(least, largest)
    else:
        unit = _root(moments).add_(rule.eps)
        if rule.lr_min:
            torch.minimum(star, unit * largest, out=star)
        torch.maximum(star, unit.mul_(least), out=star)
    return torch.div(slopes, star, out=star)


def _mixed(rule: Rule, curvature: Tensor, shifted: Tensor) -> Tensor:
    """Return h (|G| + ε)."""
    if rule.hessian == "zero":
        return torch.zeros_like(shifted)
    if rule.hessian == "rms":
        return _root(curvature).mul_(shifted)
    return curvature.mul(shifted).abs_() if rule.hessian == "diagonal" else curvature.mul(shifted)


def _root(values: Tensor) -> Tensor:
    """Return √x. On the CPU `torch.sqrt` takes five times as long where x is 0, and thirty times near it."""
    return values.rsqrt().reciprocal_()


def _regularized(gradient: list[Tensor], lookahead: list[Tensor], rule: Rule) -> list[Tensor]:
    """Return g + λ₁ s(ν) + λ₂ ν, s(ν) = −1 for ν < 0 and 1 otherwise."""
    if rule.l2:
        gradient = list(torch._foreach_add(gradient, lookahead, alpha=rule.l2))
    if rule.l1:
        signs = [(nu < 0).to(nu.dtype).mul_(-2).add_(1) for nu in lookahead]
        gradient = list(torch._foreach_add(gradient, signs, alpha=rule.l1))
    return gradient


def _flat(tensors: list[Tensor]) -> Tensor:
    flat: Tensor = _flatten_dense_tensors(tensors)  # type: ignore[no-untyped-call]
    return flat


def _like(tensors: list[Tensor], flat: Tensor) -> list[Tensor]:
    return list(_unflatten_dense_tensors(flat, tensors))  # type: ignore[no-untyped-call]
