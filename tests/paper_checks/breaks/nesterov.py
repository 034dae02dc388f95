from paper_checks import nesterov
from tests.paper_checks.breaks.common import scaled, wrong_step_fraction


def wrong_noise_variance(monkeypatch):
    monkeypatch.setattr(nesterov, "averaged_noise_variance", scaled(nesterov.averaged_noise_variance, 1.1))


BREAKS = {
    "step fraction φ 10 % too small": wrong_step_fraction,
    "noise variance 10 % too large": wrong_noise_variance,
}
