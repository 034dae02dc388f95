"""The same tests on every kind of device that is there."""

import pytest

try:
    import torch
except ModuleNotFoundError:
    collect_ignore_glob = ["test_*.py"]
else:
    DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

    @pytest.fixture(params=DEVICES)
    def device(request):
        return torch.device(request.param)
