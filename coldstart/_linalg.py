"""Inverses of symmetric matrices in place: at 20,000 items a copy would be 1.6 GB."""

import numpy as np
from scipy.linalg import get_lapack_funcs

from coldstart._arrays import AnyArray, blocks


def inverse_of(gram: AnyArray) -> AnyArray:
    """Return the inverse of a symmetric positive definite matrix by Cholesky factorisation, n^3 operations.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Overwritten, when its rows are contiguous.

    Raises
    ------
    LinAlgError
        When the matrix is not positive definite.
    """
    (potrf,) = get_lapack_funcs(("potrf",), (gram,))
    # LAPACK stores columns contiguously. The transpose of a C-ordered matrix has that order, and of a symmetric matrix
    # it is the same matrix: so no copy is made.
    factor, failed = potrf(gram.T, lower=0, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("The matrix is not positive definite; use a larger ridge.")
    return symmetric_inverse(factor)


def symmetric_inverse(factor: AnyArray) -> AnyArray:
    """Return the inverse of a symmetric matrix from its upper Cholesky factor.

    Parameters
    ----------
    factor : ndarray of shape (n, n)
        In column order; overwritten. What is below the diagonal is not read.
    """
    if not len(factor):
        return factor
    (potri,) = get_lapack_funcs(("potri",), (factor,))
    inverse, _ = potri(factor, lower=0, overwrite_c=1)
    # potri fills the upper triangle only. It is copied down in blocks, which need little scratch memory.
    for block in blocks(len(inverse), 1024):
        inverse[block, : block.start] = inverse[: block.start, block].T
        square = np.triu(inverse[block, block])
        inverse[block, block] = square + np.triu(square, 1).T
    symmetric: AnyArray = inverse.T
    return symmetric
