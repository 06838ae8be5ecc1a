"""How tests of samplers call functions."""


def compiled(xp, f):
    """Return `f`, on JAX compiled: eagerly every operation of a long loop is compiled alone."""
    if xp.name.startswith("jax"):
        import jax

        return jax.jit(f)
    return f


def run(xp, f, *args):
    """Call `f`, compiled on JAX."""
    return compiled(xp, f)(*args)
