"""Exact sizes and costs that follow from a shape."""

from __future__ import annotations

from densing.ladder.config import Shape


def params_non_embedding(shape: Shape) -> int:
    """Parameters without the embedding and the output head, norms included: the N of the loss law.

    The published sizes are counted this way: s1 has 8 layers of 655,360 weights and 512 norm gains, and
    256 gains of the last norm, 5,247,232 in all.
    """
    kv_width = shape.kv_heads * shape.head_dim
    attention = 2 * shape.width * (shape.heads * shape.head_dim) + 2 * shape.width * kv_width
    feed_forward = 3 * shape.width * shape.ffn_width
    norms = 2 * shape.width
    return shape.layers * (attention + feed_forward + norms) + shape.width


def params(shape: Shape, vocabulary: int) -> int:
    """All parameters: with the embedding and the output head, which are not tied."""
    return params_non_embedding(shape) + 2 * vocabulary * shape.width


def flops_per_token(shape: Shape, vocabulary: int, context: int) -> int:
    """Floating-point operations of training on one token, forward and backward.

    Six per weight that multiplies, the output head's among them, and 12·layers·width·context for the
    products of attention (Chowdhery et al. 2022, appendix B; the causal half is not subtracted).
    """
    multiplying = params_non_embedding(shape) + vocabulary * shape.width
    return 6 * multiplying + 12 * shape.layers * shape.heads * shape.head_dim * context
