"""The phantom: procedurally generated pediatric radiographs with reports, the default data of everything here.

It exists so that every task runs anywhere with exact ground truth. It is never clinical evidence.
Imports triplets; among its own rooms imaging < body < findings < report.
"""

from typing import TYPE_CHECKING

from pedclip.lazy import lazy_names

if TYPE_CHECKING:
    from pedclip.data.phantom.findings.registry import FINDINGS as FINDINGS
    from pedclip.data.phantom.findings.registry import LESIONS as LESIONS
    from pedclip.data.phantom.imaging.render import RenderSpec as RenderSpec
    from pedclip.data.phantom.imaging.render import render as render
    from pedclip.data.phantom.retake import Retake as Retake
    from pedclip.data.phantom.retake import draw_retakes as draw_retakes
    from pedclip.data.phantom.stream import generate as generate
    from pedclip.data.phantom.stream import generate_reports as generate_reports
    from pedclip.data.phantom.stream import iterate_studies as iterate_studies
    from pedclip.data.phantom.study import draw_studies as draw_studies

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FINDINGS": "findings.registry",
        "LESIONS": "findings.registry",
        "RenderSpec": "imaging.render",
        "render": "imaging.render",
        "Retake": "retake",
        "draw_retakes": "retake",
        "generate": "stream",
        "generate_reports": "stream",
        "iterate_studies": "stream",
        "draw_studies": "study",
    },
)
