"""Pages of blocks, as one HTML file with everything inside, and as Markdown.

A block is ("heading", text), ("text", text), ("note", text), ("code", text), ("list", texts),
("table", head, rows) or ("figure", figure, text): a Matplotlib figure or the URL that `image` made
of one, and what it shows.
"""

import base64
import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from tools import markdown, pages

TEMPLATE = Path(__file__).with_name("page.html.j2")


def image(figure):
    """A figure as a PNG inside a URL; closes the figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def as_html(title, blocks):
    """An HTML page of blocks; numbers in tables to one decimal. Closes the figures."""
    return pages.render(TEMPLATE, title=title, blocks=map(_for_template, blocks))


def _for_template(block):
    """A block by the names that the template uses."""
    kind, *content = block
    if kind == "figure":
        figure, text = content
        source = figure if isinstance(figure, str) else image(figure)
        return {"kind": kind, "source": source, "text": text}
    if kind == "table":
        head, rows = content
        texts = [[markdown.words(value) for value in row] for row in (head, *rows)]
        right = markdown.numeric(texts)
        return {"kind": kind, "head": texts[0], "rows": texts[1:], "right": right}
    return {"kind": kind, "texts" if kind == "list" else "text": content[0]}


def as_markdown(title, blocks):
    """A Markdown page of blocks, without the figures."""
    return f"# {title}\n\n{in_markdown(blocks, '##')}\n"


def in_markdown(blocks, heading):
    """Blocks as Markdown, without the figures; heading: how one begins, such as "##"."""
    parts = []
    for kind, *content in blocks:
        if kind == "table":
            parts.append(markdown.table(*content))
        elif kind == "list":
            parts.append("\n".join(f"- {text}" for text in content[0]))
        elif kind == "code":
            parts.append(f"```\n{content[0]}\n```")
        elif kind != "figure":
            parts.append({"heading": f"{heading} ", "note": "> "}.get(kind, "") + content[0])
    return "\n\n".join(parts)
