import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cromss.plotting import Panel, class_labels, draw_confusion, draw_panels, fonts_for, stretch
from helpers.class_names import ANY_CLASS_NAMES


def saved(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=30)
    return content.getvalue()


@pytest.mark.parametrize("names", [ANY_CLASS_NAMES, ["森林", "草地"], ["ماء", "غابة"]])
def test_any_class_name_is_drawn_without_a_warning(names):
    colours = ["#419bdf"] * len(names)
    labels = np.arange(len(names), dtype=np.uint8)[None, None]
    scores = {"s2": {"classes": dict.fromkeys(names), "confusion": np.eye(len(names)).tolist(), "oa": 1, "miou": 1}}
    figure = draw_panels([Panel("label", "classes", labels)], names, colours, 1.0)
    assert len(figure.legends[0].get_texts()) == len(names)
    assert saved(figure)
    assert saved(draw_confusion(scores))


def test_a_name_that_no_font_can_draw_is_shown_by_its_number(monkeypatch):
    monkeypatch.setattr("cromss.plotting._fonts", lambda: ("DejaVu Sans",))
    assert class_labels(["water", "森林", "a\nb", "x" * 30]) == ["water", "class 1", "a b", f"{'x' * 22}…"]
    assert fonts_for(["water"]) == ["DejaVu Sans"]


def test_a_legend_lists_what_is_shown_in_its_colours():
    panels = [Panel("label", "classes", np.array([[[0, 255]]])), Panel("prediction", "classes", np.array([[[2, 2]]]))]
    (legend,) = draw_panels(panels, ["water", "trees", "crops"], ["#0000ff", "#00ff00", "#ff0000"], 1.0).legends
    colours = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    texts = [text.get_text() for text in legend.get_texts()]
    assert dict(zip(texts, colours, strict=True)) == {"water": "#0000ff", "crops": "#ff0000", "unlabelled": "#000000"}
    assert (
        draw_panels([Panel("image", "image", np.zeros((1, 2, 2, 3)))], ["a", "b"], ["#000000"] * 2, 1.0).legends == []
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_images_stay_black_or_white(value):
    assert np.allclose(stretch(np.full((1, 3, 8, 8), value)), value)


def test_percentiles_become_black_and_full():
    ramp = np.linspace(0.2, 0.6, 101)[None, None, None].repeat(3, axis=1)
    shown = stretch(ramp)
    assert shown.shape == (1, 1, 101, 3)
    # The 2nd percentile of 101 even steps is the third value, the 98th the third from the end.
    assert np.allclose(shown[0, 0, [0, 2, 50, 98, 100], 0], [0, 0, 0.5, 1, 1])
