"""All rows of the table."""

from benchmarks import estimates, memory, networks, processes, torch_steps, updates

ROWS = (*updates.ROWS, *torch_steps.ROWS, *networks.ROWS, *estimates.ROWS, *processes.ROWS, *memory.ROWS)
