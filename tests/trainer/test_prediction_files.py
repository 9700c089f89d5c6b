from hypothesis import given
from hypothesis import strategies as st

from cromss.trainer.prediction_files import file_stem


def test_an_id_that_can_be_a_name_is_one():
    assert file_stem("1.5_2.5-20190816") == "1.5_2.5-20190816"
    assert file_stem("地点 7") == "地点 7"


def test_names_by_hand():
    names = {name: file_stem(name) for name in ("a/b", "a_b", "a%2Fb", "..", "a\nb", "a\\b", "x" * 256, "x" * 255)}
    assert (names["a/b"], names["a_b"], names["a%2Fb"], names[".."]) == ("a%2Fb", "a_b", "a%252Fb", "%2E.")
    assert names["a\nb"] == "a%0Ab"
    assert len(set(names.values())) == len(names)


@given(st.sets(st.text(alphabet="ab_/%.2F\\\n\udcff地", max_size=150), min_size=2, max_size=20))
def test_different_ids_have_different_names_of_one_part(ids):
    names = {file_stem(one) for one in ids}
    assert len(names) == len(ids)
    assert all("/" not in name and not name.startswith(".") and len(name.encode()) <= 140 for name in names)
