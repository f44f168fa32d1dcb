# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot. matplotlib is imported here alone, and installed for the benchmark alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from tests.bench.series import Results

#: Title, colour and line by subject: all new is solid, nothing to do is dashed.
LINES = {
    "uri_create": ("uri loop, all new", "tab:orange", "-"),
    "sdk_create": ("SDK script, all new", "tab:green", "-"),
    "role_create": ("role, all new", "tab:blue", "-"),
    "uri_check": ("uri, none missing", "tab:orange", "--"),
    "sdk_check": ("SDK script, none missing", "tab:green", "--"),
    "role_check": ("role, nothing to change", "tab:blue", "--"),
}


def draw(results: Results, path: Path) -> None:
    """Draw seconds over the number of databases, on logarithmic axes, with the spread of the runs."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for subject, (title, colour, style) in LINES.items():
        points = sorted((size, series) for (name, size), series in results.items() if name == subject)
        sizes = [size for size, _series in points]
        medians = [series.seconds for _size, series in points]
        below = [series.seconds - series.lowest for _size, series in points]
        above = [series.highest - series.seconds for _size, series in points]
        axes.errorbar(
            sizes,
            medians,
            [below, above],
            label=title,
            color=colour,
            linestyle=style,
            marker="o",
            markersize=4,
            capsize=3,
        )
    axes.axhline(results["ping", 0].seconds, label="ansible-playbook with one ping", color="grey", linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="databases", ylabel="seconds")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", alpha=0.2)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
