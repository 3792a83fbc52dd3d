"""Names of others in figures."""


def plain(name: str) -> str:
    """A name for matplotlib, which draws it as it stands: two $ alone would make a formula."""
    return name.replace("$", r"\$")
