"""Algorithms on a parameter server: worker programs; their single-thread versions are in ``single.py``.

* ``softmax``: softmax regression on scikit-learn's digits (dense);
* ``subgradient``: distributed subgradient descent, Alg. 1 of Li et al. (OSDI 2014), for sparse logistic
  regression on generated examples whose features follow Zipf's law;
* ``block_proximal``: delayed block proximal gradient, Alg. 3, for the same problem;
* ``matrix_factorization``: on two SSP tables (Ho et al., NIPS 2013).

Left out: latent Dirichlet allocation and the count-min sketch of the OSDI paper's evaluation.
"""

from .data import (
    Digits,
    Ratings,
    SparseShard,
    ZipfExamples,
    deal_ratings,
    digits_split,
    ratings,
    shards,
    zipf_examples,
)
from .losses import accuracy, logistic_loss, softmax_loss
from .programs import block_proximal, curvatures, matrix_factorization, softmax, subgradient

__all__ = [
    "Digits",
    "Ratings",
    "SparseShard",
    "ZipfExamples",
    "accuracy",
    "block_proximal",
    "curvatures",
    "deal_ratings",
    "digits_split",
    "logistic_loss",
    "matrix_factorization",
    "ratings",
    "shards",
    "softmax",
    "softmax_loss",
    "subgradient",
    "zipf_examples",
]
