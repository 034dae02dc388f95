"""Numerical checks of the paper's claims: each compares a prediction with a measurement obtained another way.

``python -m paper_checks`` runs them all. One module is one claim: its docstring says what is claimed, where it comes
from, what is predicted, how it is measured, and which tolerance is allowed and why; ``CLAIM`` and ``SOURCE`` go into
the table, and ``run(settings)`` returns the outcome.
"""
