"""Figures that a notebook shows as they are; matplotlib's own are shown only where pyplot was imported."""

import io

from matplotlib.figure import Figure


class Drawing(Figure):
    """A figure outside pyplot's books, so that none of them stays in memory.

    >>> Drawing(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()
