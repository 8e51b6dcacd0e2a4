"""Logarithms of densities of singular values that are sums over single values and over pairs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import sympy as sp

from symtheory.codegen.layout import fold_statement
from symtheory.graph.shapes import Size, torch_number


@dataclass(frozen=True)
class LogSpectrum:
    """single Σ_i log σ_i + sums Σ_{i<j} log(σ_i + σ_j) + gaps Σ_{i<j} log|σ_i − σ_j|, up to a constant."""

    single: sp.Expr
    sums: sp.Expr = sp.S.Zero
    gaps: sp.Expr = sp.S.Zero

    def __add__(self, other: LogSpectrum) -> LogSpectrum:
        return LogSpectrum(sp.expand(self.single + other.single), self.sums + other.sums, self.gaps + other.gaps)

    def __mul__(self, factor: sp.Expr) -> LogSpectrum:
        return LogSpectrum(sp.expand(self.single * factor), self.sums * factor, self.gaps * factor)

    def degree(self, size: Size) -> sp.Expr:
        """Power by which the density grows when all of ``size`` singular values do."""
        return size * self.single + size * (size - 1) / 2 * (self.sums + self.gaps)

    def density(self, symbol: sp.IndexedBase, size: Size) -> sp.Expr:
        """The density of σ_1 … σ_size as products over them and their pairs."""
        i, j = sp.symbols("i j", integer=True)
        value = sp.S.One if self.single == 0 else sp.Product(symbol[i] ** self.single, (i, 1, size))
        if self.sums != 0:
            value *= sp.Product(sp.Product((symbol[i] + symbol[j]) ** self.sums, (i, 1, j - 1)), (j, 1, size))
        if self.gaps != 0:
            value *= sp.Product(sp.Product(sp.Abs(symbol[i] - symbol[j]) ** self.gaps, (i, 1, j - 1)), (j, 1, size))
        return value

    def statements(self, variable: str, sizes: dict[sp.Symbol, str]) -> list[str]:
        """Statements after which ``total`` is the logarithm; variable: name of the tensor ``(*batch, size)``; sizes:
        what the source calls the sizes that have other names there."""
        names = {str(symbol): source for symbol, source in sizes.items()}
        single = re.sub(r"[A-Za-z_]\w*", lambda found: names.get(found[0], found[0]), torch_number(self.single))
        lines = [f"    total = ({single}) * {variable}.log().sum(-1)"]
        pairs = [(power, sign) for power, sign in ((self.sums, "+"), (self.gaps, "-")) if power != 0]
        if pairs:
            size = f"{variable}.shape[-1]"
            lines.append(f"    i, j = torch.triu_indices({size}, {size}, 1, device={variable}.device)")
        for power, sign in pairs:
            source = f"({variable}[..., i] {sign} {variable}[..., j]).abs().log().sum(-1)"
            number = "" if power == 1 else f"({torch_number(power)}) * "
            lines += fold_statement("total = total + ", f"{number}{source}")
        return lines
