from tests.paper_checks.breaks.common import steeper_relu

BREAKS = {
    "slope of the ReLU 10 % too steep": steeper_relu,
}
