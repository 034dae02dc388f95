"""Every device at hand, and one thread: the test processes fill the machine already."""

from importlib.util import find_spec

import pytest

if find_spec("torch") is None:
    collect_ignore_glob = ["*.py"]
else:
    import torch

    DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

    @pytest.fixture(autouse=True, scope="session")
    def one_torch_thread():
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.fixture(params=DEVICES)
    def device(request):
        return torch.device(request.param)
