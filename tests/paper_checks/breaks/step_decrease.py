from tests.paper_checks.breaks.common import (
    glass_dropped,
    hessian_dropped,
    wrong_joint_constant,
    wrong_step_constant,
)

BREAKS = {
    "constant of the promised decrease 10 % too large": wrong_joint_constant,
    "step constant 10 % too large": wrong_step_constant,
    "Hessian term dropped": hessian_dropped,
    "glass term dropped": glass_dropped,
}
