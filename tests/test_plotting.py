import io

import numpy as np
import pytest

from cromss.plotting import class_labels, fonts_for
from cromss.trainer.confusion import draw_confusion
from cromss.trainer.panels import Panel, draw_panels
from helpers.class_names import ANY_CLASS_NAMES


def saved(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=30)
    return content.getvalue()


@pytest.mark.parametrize("names", [ANY_CLASS_NAMES, ["森林", "草地"], ["ماء", "غابة"]])
def test_any_class_name_is_drawn_without_a_warning(names):
    colours = ["#419bdf"] * len(names)
    labels = np.zeros((1, 4, 4), np.uint8)
    scores = {"s2": {"classes": dict.fromkeys(names), "confusion": np.eye(len(names)).tolist(), "oa": 1, "miou": 1}}
    figure = draw_panels([Panel("label", "classes", labels)], names, colours, 1.0)
    assert len(figure.legends[0].get_texts()) == len(names) + 1
    assert saved(figure)
    assert saved(draw_confusion(scores))


def test_a_name_that_no_font_can_draw_is_shown_by_its_number(monkeypatch):
    monkeypatch.setattr("cromss.plotting._fonts", lambda: ("DejaVu Sans",))
    assert class_labels(["water", "森林", "a\nb", "x" * 30]) == ["water", "class 1", "a b", f"{'x' * 22}…"]
    assert fonts_for(["water"]) == ["DejaVu Sans"]
