"""One run on paper: a self-contained HTML page, and a post-mortem in Markdown when it came back."""

from fairlead.surfaces.page.document import page
from fairlead.surfaces.page.mortem import post_mortem

__all__ = ["page", "post_mortem"]
