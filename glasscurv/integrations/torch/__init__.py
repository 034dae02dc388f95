"""Alice as a PyTorch optimizer, and the estimators for PyTorch models."""

from glasscurv.integrations._extras import needed

with needed("torch", "torch"):
    from glasscurv.integrations.torch.alice import Alice
    from glasscurv.integrations.torch.functions import GradientFunction, gradient_function
    from glasscurv.integrations.torch.profile import ModelProfile, profile

__all__ = [
    "Alice",
    "GradientFunction",
    "ModelProfile",
    "gradient_function",
    "profile",
]
