"""How tests run what consists of many operations."""


def whole(xp, f, *args):
    """Run a function; as one program on JAX, which would compile each operation by itself."""
    if xp.name.startswith("jax"):
        import jax

        return jax.jit(f)(*args)
    return f(*args)
