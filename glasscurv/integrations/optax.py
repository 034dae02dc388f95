"""Alice as a gradient transformation of Optax, and the estimators for functions of JAX."""

from glasscurv.integrations._extras import needed

with needed("jax", "jax", "optax"):
    import jax
    import optax

__all__: list[str] = []
