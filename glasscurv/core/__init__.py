"""Compiled loops: arrays and scalars in, arrays out. No validation, no random numbers, no classes."""
