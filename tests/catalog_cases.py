"""The symmetries that mathematics gives the catalog's entries, written down by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

import symtheory as st

c, d, h, h1, h2, k, m, n, r, v, heads, groups = st.dims("c d h h1 h2 k m n r v heads groups")
GL_h, O_h, FIXING_ONES_h = h**2, h * (h - 1) / 2, (h - 1) * (h - 2) / 2
LAWS_h = h * (h + 1) / 2
"""Of one GL(h): its generators that are symmetric matrices."""


@dataclass(frozen=True)
class Claim:
    """What is claimed about one entry.

    sizes: small ones for the certificate; kinds and dimension: of the factors of the continuous group, in any order;
    laws: number of independent conservation laws of gradient flow; discrete: kinds and sizes of the generators of
    what is left besides; nonlinear: null directions of the Jacobian at these sizes that belong to no affine symmetry;
    other_laws: conservation laws that come from no symmetry.

    The laws are those of the group: one for each symmetric generator of GL, each rescaling, and each shift of one
    parameter by itself; none for rotations, nor for shifts whose compensation is a product of t with a parameter.

    Kinds, dimensions and laws hold wherever nothing degenerates. With a single output v · (z + b) also has the fields
    δb = A v with A antisymmetric, and layers wider than the rank they carry have more null directions.
    """

    sizes: Mapping[str, int]
    kinds: str
    dimension: sp.Expr | int
    laws: sp.Expr | int
    discrete: str = ""
    nonlinear: int = 0
    other_laws: int = 0

    def at_sizes(self, number: sp.Expr | int) -> int:
        """A number in symbolic sizes, at the sizes of the claim."""
        expression = sp.sympify(number)
        return int(expression.subs({size: self.sizes[size.name] for size in expression.free_symbols}))


WIDTH_2 = {"d": 2, "h": 2, "k": 2}

CLAIMS: dict[str, Claim] = {
    # Coordinatewise: one number for each coordinate and each factor but one; its charge is a difference of squares.
    "hadamard": Claim({"d": 2}, "rescaling", d, d, "sign_flip(d)"),
    "depth_product": Claim({"d": 2}, "rescaling", 2 * d, 2 * d, "sign_flip(d) sign_flip(d)"),
    # u² − v² = (u − v)(u + v): hyperbolic rotations, with the charge u v; both signs are free.
    "squared_difference": Claim({"d": 2}, "isometry", d, d, "sign_flip(d) sign_flip(d)"),
    # The cumulative sum is invertible and changes nothing.
    "total_variation": Claim({"d": 2}, "rescaling", d, d, "sign_flip(d)"),
    # Products of matrices: a change of basis for each inner axis.
    "low_rank": Claim({"n": 3, "m": 3, "h": 2}, "GL", GL_h, LAWS_h),
    "lora": Claim({"d": 3, "k": 3, "r": 2}, "GL", r**2, r * (r + 1) / 2),
    # U stands on both sides of the inner axis, so that a change of basis must be its own contragredient.
    "tied_product": Claim({"n": 3, "h": 2}, "O", O_h, 0),
    # Three factors that meet in one index allow no matrix there. Sums of few triple products are unique up to scale
    # and order (Kruskal).
    "cp_decomposition": Claim(
        {"n": 2, "m": 2, "k": 2, "h": 2},
        "rescaling rescaling",
        2 * h,
        2 * h,
        "permutation(h) sign_flip(h) sign_flip(h)",
    ),
    # Biases make changes of basis affine: b1 ↦ b1 + t with b2 ↦ b2 − W2 t, and the same one layer on.
    "deep_linear": Claim(
        {"d": 3, "h1": 2, "h2": 2, "k": 3},
        "GL GL translation translation",
        h1**2 + h1 + h2**2 + h2,
        h1 * (h1 + 1) / 2 + h2 * (h2 + 1) / 2,
    ),
    # A ↦ g A g⁻¹, B ↦ g B, C ↦ C g⁻¹: another basis of the states, and no more where three steps are enough
    # to tell realisations apart (Kalman).
    "state_space": Claim(WIDTH_2, "GL", GL_h, LAWS_h),
    # The scores of all classes shift alike: by t · x from the rows of W, by a number from b.
    "softmax_classifier": Claim({"d": 2, "k": 3}, "translation translation", d + 1, d + 1),
    # Hidden layers: of GL stays what commutes with the activation.
    "shallow_relu": Claim(WIDTH_2, "rescaling", h, h, "permutation(h)"),
    "leaky_relu": Claim(WIDTH_2, "rescaling", h, h, "permutation(h)"),
    "deep_relu": Claim(
        {"d": 2, "h1": 2, "h2": 2, "k": 2}, "rescaling rescaling", h1 + h2, h1 + h2, "permutation(h1) permutation(h2)"
    ),
    # No activation stands between W and its transpose.
    "superposition": Claim({"d": 3, "h": 2}, "O", O_h, 0),
    # xᵀ Wᵀ diag(v) W x does not change under W ↦ R W with Rᵀ diag(v) R = diag(v). Of these only flips of signs serve
    # every v; the connected part, δw_i = Σ_j S_ij w_j / v_i with S antisymmetric, is not affine: h(h − 1)/2 directions.
    "quadratic": Claim({"d": 2, "h": 2}, "rescaling", h, h, "permutation(h) sign_flip(h)", nonlinear=1),
    # Cubes of linear forms are a symmetric tensor, and unique as in cp_decomposition.
    "monomial": Claim(WIDTH_2, "rescaling", h, h, "permutation(h) sign_flip(h)"),
    # One number of two parameters: its level sets are curves, none of them an orbit of an affine map. Gradient flow of
    # whatever loss moves on the curves across them, so what numbers these is a law without a symmetry.
    "curved_valley": Claim({}, "", 0, 0, "sign_flip()", nonlinear=1, other_laws=1),
    # An odd function without a scaling law: units are unique up to sign and order (Sussmann).
    "tanh_net": Claim(WIDTH_2, "", 0, 0, "permutation(h) sign_flip(h)"),
    # W, U and V of a unit rescale with product one. Three inputs: with two, quadratic forms near a product of linear
    # ones are such products, so that GL(h) could mix the units, in ways that are not affine.
    "bilinear": Claim(
        {"d": 3, "h": 2, "k": 2}, "rescaling rescaling", 2 * h, 2 * h, "permutation(h) sign_flip(h) sign_flip(h)"
    ),
    # silu fixes the scale and the sign of W; U rescales against V.
    "swiglu": Claim(WIDTH_2, "rescaling", h, h, "permutation(h) sign_flip(h)"),
    # One factor for each output channel; a kernel is the same at all positions.
    "convolution": Claim(
        {"channels": 2, "height": 3, "width": 2, "s": 2, "c": 2, "k": 2}, "rescaling", c, c, "permutation(c)"
    ),
    # The length of a row of W is free, and (g, b) of a unit rescale against V as at any relu.
    "weight_norm": Claim(WIDTH_2, "rescaling rescaling", 2 * h, 2 * h, "permutation(h) sign_flip(h)"),
    # A hidden unit before the norm is free in scale, (W, b), and in origin, b: so b does nothing. The relu is as above.
    "batch_norm": Claim(
        {"n": 3, **WIDTH_2}, "rescaling rescaling translation", 3 * h, 3 * h, "permutation(h) sign_flip(h)"
    ),
    "rms_norm": Claim(WIDTH_2, "O scaling", O_h + 1, 1),
    # γ rescales against V. The rotations W ↦ R W now need V ↦ V diag(γ) Rᵀ diag(γ)⁻¹, which is not affine: h(h − 1)/2
    # directions.
    "rms_norm_gain": Claim(
        WIDTH_2, "rescaling scaling", h + 1, h + 1, "permutation(h) sign_flip(h) sign_flip(h)", nonlinear=1
    ),
    # Rotations that fix the ones, and one factor. What is normalised may shift along the ones: columns of W (d) and b
    # (1). The result has mean zero: rows of V shift along the ones (k).
    "layer_norm": Claim(
        {"d": 2, "h": 3, "k": 2},
        "O_fixing_ones scaling translation translation translation",
        FIXING_ONES_h + 1 + d + 1 + k,
        1 + d + 1 + k,
        "sign_flip()",
    ),
    # (γ, β) rescale against V, and β shifts against c. For V diag(γ) all is as before; so V itself shifts along 1/γ
    # and turns with diag(γ) Rᵀ diag(γ)⁻¹, which is not affine: k + (h − 1)(h − 2)/2 directions.
    "layer_norm_affine": Claim(
        {"d": 2, "h": 3, "k": 2},
        "rescaling scaling translation translation translation",
        h + 1 + d + 1 + h,
        h + 1 + d + 1,
        "permutation(h) sign_flip(h) sign_flip()",
        nonlinear=3,
    ),
    # Queries against keys, values against output; without a softmax, a factor between the two pairs.
    "linear_attention": Claim({"n": 2, "d": 2, "h": 2}, "GL GL scaling", 2 * GL_h + 1, 2 * LAWS_h + 1, "sign_flip()"),
    # The bias of the keys adds one number to all scores of a query. That of the values comes through the weights, which
    # add up to one, as it is, and bo makes up for it.
    "attention": Claim({"n": 2, "d": 2, "h": 2}, "GL GL translation translation", 2 * GL_h + 2 * h, 2 * LAWS_h + h),
    "multihead_attention": Claim(
        {"n": 2, "d": 2, "heads": 2, "h": 2},
        "GL GL translation translation",
        heads * (2 * GL_h + 2 * h),
        heads * (2 * LAWS_h + h),
        "permutation(heads)",
    ),
    # One change of basis for all the heads that share a key, and one for those that share a value.
    "grouped_query_attention": Claim(
        {"n": 2, "d": 2, "groups": 2, "r": 2, "h": 2},
        "GL GL",
        groups * 2 * GL_h,
        groups * 2 * LAWS_h,
        "permutation(groups) permutation(groups,r)",
    ),
    # Residual streams: all that writes and all that reads moves together. Without a norm any change of basis will do.
    "residual": Claim({"v": 2, **WIDTH_2}, "GL rescaling", d**2 + h, d * (d + 1) / 2 + h, "permutation(h)"),
    # Rotations, and one factor for all that writes: E and W2.
    "residual_rms_norm": Claim(
        {"v": 2, **WIDTH_2}, "O rescaling scaling", d * (d - 1) / 2 + h + 1, h + 1, "permutation(h)"
    ),
    # As layer_norm: what E and W2 write may shift along the ones (v + h), which W1 and U do not see (h + k).
    "residual_layer_norm": Claim(
        {"v": 2, "d": 3, "h": 2, "k": 2},
        "O_fixing_ones rescaling scaling translation translation translation translation",
        (d - 1) * (d - 2) / 2 + h + 1 + v + h + h + k,
        h + 1 + v + h + h + k,
        "permutation(h) sign_flip()",
    ),
    # E writes the stream and reads it, as in tied_product.
    "tied_embedding": Claim({"v": 2, "d": 2, "h": 2}, "O rescaling", d * (d - 1) / 2 + h, h, "permutation(h)"),
    # A rescaling for each unit of each expert; all scores of the router shift alike.
    "mixture_of_experts": Claim(
        {"m": 2, **WIDTH_2}, "rescaling translation", m * h + d, m * h + d, "permutation(m) permutation(m,h)"
    ),
    # The stream as in residual_rms_norm, the head as in attention, the hidden units as in shallow_relu.
    "transformer": Claim(
        {"n": 2, "v": 2, "d": 2, "h": 2, "m": 2},
        "O GL GL rescaling scaling",
        d * (d - 1) / 2 + 2 * GL_h + m + 1,
        2 * LAWS_h + m + 1,
        "permutation(m)",
    ),
}
