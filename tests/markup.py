"""A name that would become an element of a page which does not escape it."""

from html.parser import HTMLParser

MARKUP = "<img src=x onerror=alert(1)>"


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.elements, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.text += " ".join(value or "" for name, value in attrs if name == "alt")

    def handle_data(self, data):
        self.text += data


def assert_escaped(page, times=1):
    """A page shows MARKUP as text, at least so often, and has no element of it."""
    reader = _Reader()
    reader.feed(page)
    made = [(tag, a) for tag, a in reader.elements if "onerror" in a or a.get("src") == "x"]
    assert not made
    assert reader.text.count(MARKUP) >= times
