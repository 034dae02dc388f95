"""Alice inside other libraries."""
