"""Alice as a PyTorch optimizer, and the estimators for PyTorch models."""

from glasscurv.integrations._extras import needed

with needed("torch", "torch"):
    from glasscurv.integrations.torch.alice import Alice
    from glasscurv.integrations.torch.replay import KeptBuffers, RandomState

__all__ = ["Alice", "KeptBuffers", "RandomState"]
