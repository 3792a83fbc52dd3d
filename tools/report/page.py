"""HTML pages with everything inside: tables, figures, text."""

import base64
import html
import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from tools import markdown

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em }}
img {{ max-width: 100%; display: block; margin: 1em 0 }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 14px }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3em .7em }}
td, th {{ text-align: left; vertical-align: top }}
td:first-child {{ min-width: 11em }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ white-space: pre-wrap; font-size: 13px }}
.note {{ background: #fff3cd; padding: .8em 1em; border-left: 4px solid #dd8452 }}
</style>
<h1>{title}</h1>
"""


def document(title, sections):
    """A page of sections of HTML."""
    return HEAD.format(title=html.escape(title)) + "\n".join(sections) + "\n</html>\n"


def image(figure, text):
    """A figure as an HTML image, data inside; closes it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def table(head, rows):
    """An HTML table; numbers to one decimal."""

    def row(values, tag):
        cells = []
        for column, text in enumerate(map(markdown.words, values)):
            number = column > 0 and markdown.is_number(text)
            cells.append(f"<{tag}{' class=number' * number}>{html.escape(text)}</{tag}>")
        return "<tr>" + "".join(cells) + "</tr>"

    lines = [row(head, "th"), *(row(values, "td") for values in rows)]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


# A page of blocks, for both formats: (kind, content, ...) ---------------------------------------


def as_html(title, blocks):
    """A page of ("heading", text), ("text", text), ("note", text), ("list", texts),
    ("table", head, rows) and ("figure", figure, text)."""
    sections = []
    for kind, *content in blocks:
        if kind == "table":
            sections.append(table(*content))
        elif kind == "figure":
            ready = isinstance(content[0], str)  # by `image`, and closed
            sections.append(content[0] if ready else image(*content))
        elif kind == "list":
            items = "".join(f"<li>{html.escape(text)}</li>" for text in content[0])
            sections.append(f"<ul>{items}</ul>")
        else:
            start, end = {
                "heading": ("<h2>", "</h2>"),
                "text": ("<p>", "</p>"),
                "note": ("<p class=note>", "</p>"),
            }[kind]
            sections.append(start + html.escape(content[0]) + end)
    return document(title, sections)


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
        elif kind != "figure":
            parts.append({"heading": f"{heading} ", "note": "> "}.get(kind, "") + content[0])
    return "\n\n".join(parts)
