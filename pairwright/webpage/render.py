"""Pages from Jinja2 templates in which every text is shown as text.

A string that a template prints goes through `visible`: markup in it is escaped, and characters
that would deceive the eye are shown by name. A template cannot forget that. In attributes, where
no element can stand, a template writes `{{ text|plain }}`. A name that is not there is an error.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from pairwright.text.counts import counted
from pairwright.text.htmltext import data_uri, plain, visible
from pairwright.webpage import style_sheet
from pairwright.webpage.numbers import number, percent
from pairwright.webpage.parts import pieces

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_template(package: str, template: str, **values: Any) -> str:
    """A template as text.

    Args:
        package: Whose folder `templates` holds it; the shared ones are found there as well.
        template: Name of the file.
        values: What it prints.
    """
    return _environment(package).get_template(template).render(values)


def images_html(found: dict[str, Any] | None) -> str:
    """The images that `Thumbnails.of` found, for a page that has no template."""
    parts = _environment("pairwright.webpage").get_template("parts.html.jinja")
    return str(parts.module.images(found))  # type: ignore[attr-defined]


def trusted(text: str) -> Markup:
    """Text that is HTML already: our own style and scripts, and nothing of a row."""
    from markupsafe import Markup

    return Markup(text)


def script_hash(script: str) -> Markup:
    """The hash by which a page's policy allows a script."""
    digest = hashlib.sha256(script.encode()).digest()
    return trusted(f"sha256-{base64.b64encode(digest).decode()}")


@cache
def _environment(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = dict.fromkeys((package, "pairwright.webpage"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(one) for one in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        code=_code, commas=lambda value: f"{value:,}", number=number, plain=_plain, uri=data_uri
    )
    environment.globals.update(
        counted=counted,
        percent=percent,
        pieces=pieces,
        script_hash=script_hash,
        style=trusted(style_sheet()),
    )
    return environment


def _shown(value: Any) -> Any:
    """The text of a value on the page; what is HTML already stays."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return trusted(visible(value)) if is_text else value


def _plain(text: str) -> Markup:
    """Text for an attribute."""
    from markupsafe import escape

    return escape(plain(text))


def _code(text: str) -> Markup:
    """Text whose commands stand between backticks."""
    parts = visible(text).split("`")
    return trusted("".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts)))
