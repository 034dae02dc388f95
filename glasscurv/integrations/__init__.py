"""Alice inside other libraries."""

from glasscurv.integrations import scipy

__all__ = ["scipy"]
