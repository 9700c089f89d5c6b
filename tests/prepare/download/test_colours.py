import numpy as np

from cromss.prepare.download.osm import legend_colours, nearest_colours, open_classes

WHITE, RED, GREEN = (255, 255, 255), (255, 0, 0), (0, 128, 0)


def test_the_nearest_colour_counts():
    picture = np.array([[(250, 250, 240), (200, 10, 10)], [(10, 100, 0), (0, 0, 0)]], np.uint8)
    colours = np.array([WHITE, RED, GREEN], np.uint8)
    # Black is 128 from green, 255 from red.
    assert nearest_colours(picture, colours).tolist() == [[0, 1], [2, 2]]


def test_of_two_that_are_as_near_the_first_counts():
    colours = np.array([(10, 0, 0), (20, 0, 0)], np.uint8)
    assert nearest_colours(np.array([[(15, 0, 0)]], np.uint8), colours).tolist() == [[0]]
    assert nearest_colours(np.array([[(15, 0, 0)]], np.uint8), colours[::-1]).tolist() == [[0]]


def test_opening_removes_what_is_narrow():
    codes = np.array(
        [
            [1, 1, 1, 2, 2, 2],
            [1, 1, 1, 2, 0, 2],
            [1, 1, 1, 2, 2, 2],
            [1, 0, 0, 3, 3, 3],
        ],
        np.uint8,
    )
    expected = np.zeros_like(codes)
    expected[:3, :3] = 1
    assert open_classes(codes, 3).tolist() == expected.tolist()
    assert open_classes(codes, 1).tolist() == codes.tolist()


def test_classes_are_opened_apart():
    codes = np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.uint8)
    assert open_classes(codes, 2).tolist() == codes.tolist()
    assert open_classes(codes, 3).tolist() == [[0] * 4] * 2


def test_a_legend_has_the_colours_of_its_areas():
    picture = np.full((40, 60, 3), 255, np.uint8)
    picture[8:16, 4:14] = RED
    picture[24:32, 4:14] = GREEN
    picture[8:16, 20:22] = 0  # letters
    picture[24, 20:60] = (9, 9, 9)
    assert legend_colours(picture, 5).tolist() == [list(WHITE), list(RED), list(GREEN)]


def test_a_legend_may_begin_with_its_first_area():
    picture = np.full((20, 40, 3), 255, np.uint8)
    picture[:10, :10] = RED
    picture[10:, :10] = GREEN
    assert legend_colours(picture, 5).tolist() == [list(RED), list(WHITE), list(GREEN)]
