"""Row kernels compiled by numba, a file a topic."""
