"""Fast kernels behind the adapters: a table of what exists, and one binder a library."""
