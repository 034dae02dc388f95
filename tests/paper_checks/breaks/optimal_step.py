from tests.paper_checks.breaks.common import hessian_dropped, wrong_joint_constant, wrong_step_constant

BREAKS = {
    "step constant 10 % too large": wrong_step_constant,
    "loss constant of the joint step 10 % too large": wrong_joint_constant,
    "Hessian term dropped": hessian_dropped,
}
