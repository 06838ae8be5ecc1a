"""torch.compile as the first thing a process does with the library."""

import subprocess
import sys

CODE = """
import torch, fenchel
f = torch.compile(lambda x: fenchel.sparsemax(x), fullgraph=True, backend="eager")
print(f(torch.tensor([1.0, 1.5, 0.0])).tolist())
"""


def test_compile_needs_no_eager_call_first():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0.25, 0.75, 0.0]"
