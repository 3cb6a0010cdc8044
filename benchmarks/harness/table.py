"""Plain-text tables."""


def render(heads, rows):
    """Columns as wide as they need be: the first to the left, the last too, the others to the right."""
    cells = [[str(cell) for cell in row] for row in [heads, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = []
    for row in cells:
        parts = [cell.ljust(width) if index in (0, len(heads) - 1) else cell.rjust(width)
                 for index, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def number(value, digits=1):
    """A figure with so many decimals; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"
