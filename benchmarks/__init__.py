"""Speed as ratios: the library against the limits of the machine, against PyTorch, or against itself.

Run ``python -m benchmarks``; ``--help`` says what can be chosen. A row is one ratio (or a time, a rate, a share of
memory), its sides timed alternately in one run. `measure` times, `row` says what a row is, `updates`,
`torch_steps`, `networks`, `estimates`, `memory` and `processes` hold the rows, `rows` lists them, and `report` makes
the table and the JSON.
"""
