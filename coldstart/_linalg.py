"""Linear algebra in place."""

import numpy as np
from scipy.linalg import get_lapack_funcs

from coldstart._arrays import AnyArray, blocks


def inverse_of(gram: AnyArray) -> AnyArray:
    """Return the inverse of a symmetric positive definite matrix, which is overwritten (Cholesky, n^3 operations)."""
    (potrf,) = get_lapack_funcs(("potrf",), (gram,))
    factor, failed = potrf(gram.T, lower=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("The matrix is not positive definite; use a larger ridge.")
    return symmetric_inverse(factor)


def symmetric_inverse(factor: AnyArray) -> AnyArray:
    """Return the inverse of a matrix of which an upper Cholesky factor is given, which is overwritten."""
    if not len(factor):
        return factor
    (potri,) = get_lapack_funcs(("potri",), (factor,))
    inverse, _ = potri(factor, lower=0, overwrite_c=1)
    for block in blocks(len(inverse), 1024):  # potri fills the upper triangle only
        inverse[block, : block.start] = inverse[: block.start, block].T
        square = np.triu(inverse[block, block])
        inverse[block, block] = square + np.triu(square, 1).T
    symmetric: AnyArray = inverse.T
    return symmetric
