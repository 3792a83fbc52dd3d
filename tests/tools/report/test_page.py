"""Pages of blocks, as HTML and as Markdown."""

from tools.report import page


def test_text_in_pages_is_escaped():
    html = page.as_html("<t>", [("text", "a < b"), ("table", ("h",), [("<i>",)])])
    assert "a &lt; b" in html and "&lt;i&gt;" in html and "<h1>&lt;t&gt;</h1>" in html
    assert "| a \\| b |" in page.as_markdown("t", [("table", ("h",), [("a | b",)])])
