from tests.paper_checks.breaks.common import kinked_tanh, smooth_relu

BREAKS = {
    "ReLU made smooth": smooth_relu,
    "tanh given a kink": kinked_tanh,
}
