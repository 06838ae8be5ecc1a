"""Every public operator under every transformation of PyTorch but compilation."""

from tests.transforms.matrix import check, every_operator, ignore_warnings


@ignore_warnings
@every_operator
def test_transformations(operator, request):
    check(operator, "torch", request, compiled=False)
