"""Networks trained by Alice as estimators of scikit-learn."""

from glasscurv.integrations._extras import needed

with needed("sklearn", "sklearn"):
    import sklearn

__all__: list[str] = []
