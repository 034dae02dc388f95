from tests.paper_checks.breaks.common import wrong_density_matrix

BREAKS = {
    "density matrix 10 % too large": wrong_density_matrix,
}
