"""DOC

Claim. x

Source. x

Prediction. x

Measurement. x

Tolerance. x
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.special import erf

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, axes
from paper_checks.loss_change import Task
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Across kinks the Hessian misses most of a short movement's loss change, and glass predicts it"
SOURCE = "theory 1, exponents, and 2, eqs. (6) to (8)"

Array = digits.Array

SLOPES, LAYERS = (0.0, -1.0, 0.3), (1, 2)
RATIOS = np.array([1 / 16, 1 / 4, 1, 4])
"""Lengths of the movements over the crossover length t*."""
CHAIN = 5
REFERENCE = 0.6
LINES, TRACED = 100, 20

SMOOTH = {"tanh": (1, 2, 3), "silu": (1, 2, 3), "gelu": (1, 2, 3), "relu": (3,)}
SIGMAS = np.array([3e-4, 1e-3, 3e-3])


class Line(NamedTuple):
    """What one line gives, in units of the glass's predicted size at every length; `quarter` at t*/4."""

    change: Array  # beyond the tangent, (2 sides, lengths)
    curvature: Array  # ½ δᵀHδ, (lengths,)
    quarter: Array  # random part, (CHAIN,)
    crossings: float  # per t*


def run(settings: Settings) -> Outcome:
    rng, lines = settings.rng, {}
    t=[]
    for slope in SLOPES:
        net = gc.MLP((64, 64, 64, 10), gc.networks.leaky_relu(slope))
        for layer in LAYERS:
            lines[slope, layer] = [_line(net, layer, rng) for _ in range(LINES * settings.scale)]
            t.append([_traced(net, layer, rng) for _ in range(TRACED)])
    findings=[]
    for key, found in lines.items():
        change, curvature, quarter, crossings = (np.array(part) for part in zip(*found, strict=True))
        R = abs(change[:,0]-change[:,1])/np.sqrt(2)
        print(key, "R/G",R.mean(0).round(3), "chain", abs(quarter).mean().round(3), "cross",np.median(crossings), "X/G", abs(change-curvature[:,None]).mean((0,1)).round(3), "C/both",(abs(change).mean((0,1))/_folded(RATIOS)).round(3), "m/G", curvature.mean(0).round(3))
    for a in t:
        a=np.array(a); 
        print("explained", [1-((a[:,k,0]-a[:,k,1])**2).sum()/(a[:,k,0]**2).sum() for k in range(2)], [ (a[:,k,0]*a[:,k,1]).sum()/(a[:,k,1]**2).sum() for k in range(2)])
    R=np.concatenate([abs(np.array([l.change[0]-l.change[1] for l in found]))/np.sqrt(2) for found in lines.values()])
    print("pooled R/G",R.mean(0),5*R.std(0)/np.sqrt(len(R)))
    Q=np.concatenate([[abs(l.quarter).mean() for l in found] for found in lines.values()])
    print("pooled chain",Q.mean(),5*Q.std()/np.sqrt(len(Q)))
    for name, layers in SMOOTH.items():
        for layer in layers:
            s=np.array([_smooth(gc.MLP((64,64,64,10),name),layer,rng) for _ in range(4)])
            print(name,layer,"err/pred",(s[:,0].sum(0)/s[:,1].sum(0)).round(4),"err/Hess",(s[:,0].sum(0)/s[:,2].sum(0)).round(5), "maxdev",(abs(s[:,0]-s[:,1]).sum(0)/s[:,1].sum(0)).round(4))
    return Outcome(findings)

def _folded(x):
    m=np.sqrt(x); a=m/np.sqrt(np.pi)
    return np.exp(-a*a)+m*erf(a)

def _draw(net, layer, rng):
    theta = net.initialize(rng)
    task = Task(net, *digits.minibatch(100, rng))
    group = net.groups[f"layer{layer}"]
    u = np.zeros(net.size)
    u[group] = gc.Rademacher().sample(group.stop - group.start, rng) / np.sqrt(group.stop - group.start)
    return theta, task, u

def _line(net, layer, rng):
    theta, task, u = _draw(net, layer, rng)
    found = gc.trace_crossings(net, theta, u, task.X, task.y, REFERENCE)
    rho = found.directional_density()
    unit = gc.directional_glass_change(1.0, rho)
    crossover = (2*unit/task.curvature(theta,u))**2
    base = theta - 4*crossover*u
    value, grad = net.value_and_grad(base, task.X, task.y)
    t = RATIOS*crossover
    change = np.array([[task.value(base+s*r*u)-value-s*r*(grad@u) for r in t] for s in (1,-1)])
    G = unit*t**1.5
    m = task.curvature(base,u)*t**2/2
    q = crossover/4
    quarter=[]
    for k in range(CHAIN):
        p = base-(2*k+1)*q*u if False else base + (2*k-CHAIN+1)*q*u
        g = grad if 2*k==CHAIN-1 else task.gradient(p)
        quarter.append((task.value(p+q*u)-task.value(p-q*u)-2*q*(g@u))/np.sqrt(2)/(unit*q**1.5))
    return Line(change/G, m/G, np.array(quarter), len(found)/REFERENCE*crossover)

def _traced(net, layer, rng):
    theta, task, u = _draw(net, layer, rng)
    found = gc.trace_crossings(net, theta, u, task.X, task.y, REFERENCE)
    unit = gc.directional_glass_change(1.0, found.directional_density())
    c=task.curvature(theta,u)
    crossover = (2*unit/c)**2
    value, grad = net.value_and_grad(theta, task.X, task.y)
    out=[]
    for r in (crossover/4,crossover):
        X = task.value(theta+r*u)-value-r*(grad@u)-r*r*c/2
        b = found.position<r
        out.append((X/unit/r**1.5, (1-net.activation.left_slope)*np.sum((found.signal*abs(found.slope)*(r-found.position))[b])/unit/r**1.5))
    return out

def _smooth(net, layer, rng):
    theta, task, u = _draw(net, layer, rng)
    n=net.groups[f"layer{layer}"]; n=n.stop-n.start
    value, grad = net.value_and_grad(theta, task.X, task.y)
    e=1e-4*np.sqrt(n)
    D3=(task.curvature(theta+e*u,u)-task.curvature(theta-e*u,u))/2/e
    c=task.curvature(theta,u)
    t=SIGMAS*np.sqrt(n)
    err=[abs(task.value(theta+r*u)-value-r*(grad@u)-r*r*c/2) for r in t]
    return np.array([err,abs(D3)*t**3/6,abs(c)*t*t/2])
