"""Mixed targets for a loss that is a function of the user's; for the losses of the kernels see mixup.h."""

import numpy as np


def mixed_targets(data, rows, partners, share):
    """The targets and the sample weights of rows that are mixed with others.

    Parameters
    ----------
    data : Data
    rows, partners : ndarray of int64 of shape (n,)
        Row numbers.
    share : float
        Of the partners.

    Returns
    -------
    targets : ndarray of shape (n, n_outputs), read-only
    sample_weight : ndarray of shape (n,), or None
    """
    own, weight, dtype = np.array([1 - share]), None, data.dtype
    if data.sample_weight is not None:
        part = own * data.sample_weight[rows]
        weight = part + share * data.sample_weight[partners]
        own = np.divide(part, weight, out=np.ones_like(part), where=weight > 0)
    own, other = own.astype(dtype)[:, None], (1 - own).astype(dtype)[:, None]
    targets = own * data.targets(rows) + other * data.targets(partners)
    targets.flags.writeable = False
    return targets, weight
