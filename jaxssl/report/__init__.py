"""Pictures: of a run on one page (``draw``), and of anything else that is measured.

``canvas`` holds what all pictures share; it alone needs matplotlib, which is an extra.
"""

from jaxssl.report.report import SUMMARY, draw

__all__ = ["SUMMARY", "draw"]
