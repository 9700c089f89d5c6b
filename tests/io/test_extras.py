import sys

import pytest

from cromss.io.extras import extra


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    said = r"out=report/ needs plotly, .*pip install 'cromss\[report\]'"
    with pytest.raises(ValueError, match=said), extra("report", "out=report/"):
        import plotly.offline  # noqa: F401


def test_what_is_there_is_imported_and_other_errors_stay():
    with extra("report", "out=report/"):
        import json  # noqa: F401
    with pytest.raises(KeyError), extra("report", "out=report/"):
        raise KeyError
