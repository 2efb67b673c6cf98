"""Histology as a third coordinate: spots of another colour are farther off.

Hu et al. 2021: the colour of a spot is the mean of each channel over a window around it; the three
are averaged with their variances over the slide as weights,

    z = Σ_c v_c Var(v_c) / Σ_c Var(v_c),      z* = (z − mean z) / sd z · max(sd x, sd y) · s

and z* stands beside x and y when distances are taken. s = 1 gives colour the weight of a place.

    python -m converters.spagcn.histology slide.h5ad -o with-colour.h5ad --colours red,green,blue
    python -m converters.spagcn.histology slide.h5ad -o with-colour.h5ad \
        --image he.png --pixels pixel_x,pixel_y

writes a copy whose `obsm['spatial']` has three columns, which `zoo train spagcn` and `zoo run` take
as they are; the copy says so in `uns['spagcn_histology']`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WINDOW = 49
"""Pixels of a side of the window around a spot, as published."""


def colour_coordinate(colours: Floats, places: Floats, *, scale: float = 1.0) -> Floats:
    """float64 [spots]: z* of one slide.

    Parameters
    ----------
    colours
        [spots, 3]: mean red, green and blue of each spot.
    places
        [spots, 2], in the unit of the result.
    scale
        The paper's s.

    """
    spread = colours.var(axis=0)
    if spread.sum() == 0:  # one colour everywhere tells no spots apart
        return np.zeros(len(colours))
    z = colours @ (spread / spread.sum())
    standard: Floats = (z - z.mean()) / max(float(z.std()), 1e-12)
    return standard * places.std(axis=0).max() * scale


def window_colours(
    image: npt.NDArray[Any], pixels: npt.NDArray[np.int64], window: int = WINDOW
) -> Floats:
    """float64 [spots, 3]: mean colour of the window around each spot.

    Parameters
    ----------
    image
        [rows, columns, 3 or 4].
    pixels
        [spots, 2]: row and column of each spot's centre.

    """
    half = round(window / 2)
    colours = np.zeros((len(pixels), 3))
    for spot, (row, column) in enumerate(pixels):
        rows = slice(max(0, row - half), row + half + 1)
        columns = slice(max(0, column - half), column + half + 1)
        part = image[rows, columns, :3]
        if part.size == 0:
            raise ValueError(f"spot {spot} at pixel ({row}, {column}) lies outside the image")
        colours[spot] = part.mean(axis=(0, 1))
    return colours


def with_histology(table: Any, colours: Floats, *, scale: float, slide_key: str | None) -> Any:
    """A copy of an AnnData whose `obsm['spatial']` has z* as its third column."""
    places = np.asarray(table.obsm["spatial"], dtype=np.float64)[:, :2]
    slides = np.zeros(len(places)) if slide_key is None else table.obs[slide_key].to_numpy()
    z = np.zeros(len(places))
    for slide in np.unique(slides):
        rows = slides == slide
        z[rows] = colour_coordinate(colours[rows], places[rows], scale=scale)
    copy = table.copy()
    copy.obsm["spatial"] = np.column_stack([places, z])
    copy.uns["spagcn_histology"] = {"scale": scale, "slide_key": slide_key or ""}
    return copy


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    import anndata

    arguments = _parser().parse_args(words)
    table = anndata.read_h5ad(arguments.file)
    if arguments.image is None:
        columns = arguments.colours.split(",")
        colours = table.obs[columns].to_numpy(dtype=np.float64)
    else:
        from matplotlib import image

        places = table.obs[arguments.pixels.split(",")].to_numpy(dtype=np.float64)
        colours = window_colours(
            image.imread(arguments.image), places.round().astype(np.int64), arguments.window
        )
    found = with_histology(table, colours, scale=arguments.scale, slide_key=arguments.slide_key)
    found.write_h5ad(arguments.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--colours", help="columns of obs with red, green and blue: r,g,b")
    source.add_argument("--image", type=Path, help="picture of the one slide")
    parser.add_argument(
        "--pixels", default="pixel_x,pixel_y", help="columns of obs with row and column in it"
    )
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--scale", type=float, default=1.0, help="weight of colour (the paper's s)")
    parser.add_argument("--slide-key", help="column of obs that names the slides")
    return parser


if __name__ == "__main__":
    main()
