"""How each library transforms functions: the rows of the matrix of `fenchel.testing`."""
