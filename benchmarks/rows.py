"""All rows of the table."""

from benchmarks import estimates, memory, networks, processes, updates

ROWS = (*updates.ROWS, *networks.ROWS, *estimates.ROWS, *processes.ROWS, *memory.ROWS)
