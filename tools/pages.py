"""HTML pages from templates, NAME.html.j2, in which every value is escaped."""

from pathlib import Path

import jinja2


def render(template: Path, **values: object) -> str:
    """The page that a template makes of the values.

    A value that the template names and nobody gave is an error, and so are NaN and infinity in what
    it writes as JSON: browsers do not read them.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return environment.get_template(template.name).render(values)
