"""What the glass does to the loss: the part of its change that gradient and Hessian leave out, by distance."""

import matplotlib.pyplot as plt
import numpy as np

import glasscurv as gc

X, y, *_ = gc.data.load_digits()
X, y = X[:200], y[:200]
network = gc.MLP((64, 32, 10))
theta = network.initialize(rng=0)
loss, gradient = network.value_and_grad(theta, X, y)
distances = np.geomspace(0.01, 1, 9)
rng = np.random.default_rng(1)

measured, glass, hessian = [], [], []
for _ in range(100):
    u = rng.standard_normal(network.size)
    u /= np.linalg.norm(u)
    curvature = u @ network.hessian_vector(theta, u, X, y)
    density = gc.directional_density(
        lambda theta: network.value_and_grad(theta, X, y)[1], theta, u, length=0.2, samples=16
    )
    taylor = [loss + t * gradient @ u + t**2 * curvature / 2 for t in distances]
    measured.append(np.abs([network.value(theta + t * u, X, y) for t in distances] - np.array(taylor)))
    glass.append([gc.directional_glass_change(t, density) for t in distances])
    hessian.append(np.abs(curvature) / 2 * distances**2)

figure, ax = plt.subplots(figsize=(5, 3.6))
ax.loglog(distances, np.mean(hessian, axis=0), "--", color="#6E6E6E", label=r"Hessian: $\frac{1}{2}|u\cdot Hu|\,t^2$")
ax.loglog(distances, np.mean(glass, axis=0), color="#D55E00", label=r"glass: $c\,\sqrt{\rho_u}\,t^{3/2}$")
ax.loglog(distances, np.mean(measured, axis=0), "ko", label="measured beyond gradient and Hessian")
ax.set(xlabel="distance t", ylabel="mean change of the loss, absolute")
ax.legend(fontsize="small")
