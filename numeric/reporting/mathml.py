"""MathML from a record, checked before it stands in a page: nothing but formulas gets through."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from markupsafe import Markup

from numeric.errors import CheckError

PRESENTATION = """
math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mmultiscripts
mprescripts none mtable mtr mtd mpadded mphantom mstyle mfenced
"""
LOOKS = """
accent accentunder align columnalign columnlines columnspacing depth display displaystyle fence form frame
height largeop linethickness lspace mathvariant maxsize minsize movablelimits rowalign rowlines rowspacing
rspace scriptlevel separator stretchy symmetric voffset width
"""
ELEMENTS, ATTRIBUTES = frozenset(PRESENTATION.split()), frozenset(LOOKS.split())
# The double-struck d, e and i of some writers, in the upright letters that papers use.
UPRIGHT = {"\u2146": "d", "\u2147": "e", "\u2148": "i"}
XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


def formula(text: str, display: str = "block") -> Markup:
    """Presentation MathML ready for a page: named entities resolved, one `math` element around it.

    text: a MathML fragment, with or without `math` around it. display: "block" or "inline". Fences written
    as mfenced, which browsers no longer draw, become plain brackets. Raises CheckError for text that is not
    well-formed or holds an element that is not MathML; other attributes than those of MathML are dropped.
    """
    try:
        parsed = ElementTree.fromstring(f"<math>{_resolve_entities(text)}</math>")
    except ElementTree.ParseError as error:
        raise CheckError(f"a formula is not well-formed MathML ({error}): {text[:60]!r}") from error
    root = ElementTree.Element("math", {"display": display})
    for child in parsed:
        if _name(child) == "math":
            root.extend([_clean(grandchild) for grandchild in child])
        else:
            root.append(_clean(child))
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # rebuilt from allowed parts, text escaped


def _resolve_entities(text: str) -> str:
    """Named entities of HTML as characters, since XML knows only five."""
    return re.sub(
        r"&([A-Za-z][A-Za-z0-9]*);",
        lambda match: match[0] if match[1] in XML_ENTITIES else html.unescape(match[0]),
        text,
    )


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _clean(element: ElementTree.Element) -> ElementTree.Element:
    name = _name(element)
    if name not in ELEMENTS:
        raise CheckError(f"a formula holds <{name}>, which is not presentation MathML; remove it")
    if name == "mfenced":
        return _fenced(element)
    kept = {key: value for key, value in element.attrib.items() if key in ATTRIBUTES}
    clean = ElementTree.Element(name, kept)
    clean.text = element.text
    if name in ("mi", "mo") and element.text in UPRIGHT:
        clean.tag, clean.text = "mi", UPRIGHT[element.text]
        clean.set("mathvariant", "normal")
    elif name in ("mo", "mn") and element.text:
        clean.text = element.text.replace("-", "\N{MINUS SIGN}")
    clean.extend([_clean(child) for child in element])
    return clean


def _fenced(element: ElementTree.Element) -> ElementTree.Element:
    row = ElementTree.Element("mrow")
    separators = element.get("separators", ",").replace(" ", "")
    _operator(row, element.get("open", "("))
    for k, child in enumerate(element):
        if k and separators:
            _operator(row, separators[min(k - 1, len(separators) - 1)])
        row.append(_clean(child))
    _operator(row, element.get("close", ")"))
    return row


def _operator(row: ElementTree.Element, sign: str) -> None:
    if sign:
        ElementTree.SubElement(row, "mo").text = sign
