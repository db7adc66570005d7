"""What a notebook file carries of a panel, and what is left of it after the strictest cleaning."""

from __future__ import annotations

import base64
import re
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbconvert.filters.strings import clean_html

from labkit import Cluster
from labkit.systems.chord import Chord
from labkit_widgets import ClusterPanel, RingPanel, SpaceTimePanel
from labkit_widgets.snapshot import WIDGET_VIEW

SVG = "{http://www.w3.org/2000/svg}"


def picture(html: str) -> ElementTree.Element:
    """The SVG document inside the HTML."""
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return ElementTree.fromstring(base64.b64decode(data))


def words(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


@pytest.fixture(params=["ring", "cluster", "spacetime"])
def panel(request: pytest.FixtureRequest, ring: Chord, cluster: Cluster) -> Any:
    cluster.kill("m2")
    cluster.run(1.0)
    if request.param == "ring":
        return RingPanel(ring, live=False)
    return (ClusterPanel if request.param == "cluster" else SpaceTimePanel)(cluster, live=False)


def test_a_bundle_has_widget_picture_and_a_text_that_never_changes(panel: Any) -> None:
    bundle = panel._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", WIDGET_VIEW}
    assert bundle[WIDGET_VIEW]["model_id"] == panel.root.model_id
    assert bundle["text/plain"] == f"<{type(panel).__name__} of cluster 'panels'>"
    panel.close()
    assert set(panel._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_the_picture_is_well_formed_and_tells_who_is_dead(panel: Any) -> None:
    svg = picture(panel._repr_mimebundle_()["text/html"])
    assert svg.tag == f"{SVG}svg"
    assert panel.title in words(svg)
    assert "✕ dead" in words(svg)
    forbidden = {"script", "style", "foreignObject"}
    assert not {element.tag.removeprefix(SVG) for element in svg.iter()} & forbidden


def test_the_picture_is_the_panel_s_own_scene(panel: Any) -> None:
    assert (
        panel.snapshot()
        == base64.b64decode(
            re.findall(r"base64,([^\"]+)", panel._repr_mimebundle_()["text/html"])[0]
        ).decode()
    )


def test_what_stands_beside_a_number_keeps_to_its_column(ring: Chord) -> None:
    panel = RingPanel(ring, live=False)
    svg = picture(panel._repr_mimebundle_()["text/html"])
    small = [each for each in svg.iter(f"{SVG}text") if each.get("font-size") == "10.5"]
    column = (float(svg.get("width", 0)) - 24) / len(panel.numbers.numbers)
    assert max(len(each.text or "") for each in small) * 5.6 <= column
    assert max(float(each.get("y", 0)) for each in small) > 60, "long words go on below"


def test_the_strictest_cleaning_leaves_machines_and_numbers(panel: Any) -> None:
    cleaned = clean_html(panel._repr_mimebundle_()["text/html"])
    assert "m2: ✕ dead" in cleaned
    assert "<table>" in cleaned
    for number in panel.numbers.numbers:
        assert number["label"] in cleaned


def test_nbconvert_shows_the_picture_and_no_widget(panel: Any) -> None:
    output = nbformat.v4.new_output("display_data", panel._repr_mimebundle_())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("panel", outputs=[output])])
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    assert "data:image/svg+xml;base64," in page
    assert "application/vnd.jupyter.widget-view+json" not in page.split("<main", 1)[1]


def test_names_are_escaped(make_trace: Any) -> None:
    from labkit_widgets.layouts.boxes import boxes
    from labkit_widgets.messages import frame
    from labkit_widgets.snapshot import page

    rows = [(0.0, "<m&1>", "a'\"b", "node_started", {"cls": "<script>"})]
    view = frame(make_trace(rows))
    html = page("Cluster", "<b>", view, view.numbers, boxes(view))
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<m&1>" in words(picture(html))
