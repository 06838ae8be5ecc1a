"""Row kernels in CUDA: the sources, and how CuPy compiles and launches them."""
