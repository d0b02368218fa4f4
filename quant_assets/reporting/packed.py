"""Text packed into a page, and plotly among it: gzip in base64, which the page inflates itself (`DecompressionStream`), also from disk.

What is packed and how a page uses it is the page's business; `templates/packed.js` is the other half of this module.
"""

from __future__ import annotations

import base64
import gzip
from functools import cache

from markupsafe import Markup


def packed(text: str) -> Markup:
    """Base64 of the gzipped UTF-8: it holds no character that HTML reads. The same text gives the same bytes."""
    return Markup(base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode())


@cache
def plotly_source() -> str:
    """plotly.js as a page runs it, 4.9 MB; the policy of a page that inflates it names its hash."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source


@cache
def packed_plotly() -> Markup:
    return packed(plotly_source())
