"""Task sentences and the catalogue behind them."""

import pytest

from lrm_core.errors import BadInput
from lrm_sim import tasks
from lrm_sim.catalog import CONTAINERS, PRISMS


@pytest.mark.parametrize("pair", tasks.PAIRS)
def test_a_sentence_is_read_back_as_its_pair(pair):
    assert tasks.parse(tasks.sentence(*pair)) == pair


def test_case_blanks_and_a_full_stop_do_not_matter():
    assert tasks.parse("  Put the RED cube  in the blue bowl. ") == ("red cube", "blue bowl")


@pytest.mark.parametrize("text", ["", "put the red cube", "put the blue bowl in the red cube", "lift the red cube"])
def test_an_unknown_sentence_is_refused_with_what_is_allowed(text):
    with pytest.raises(BadInput) as error:
        tasks.parse(text)
    assert all(name in str(error.value) for name in (*tasks.OBJECTS, *tasks.CONTAINERS))


def test_every_object_and_container_of_a_held_out_pair_is_trained_in_another():
    assert len(tasks.HELD_OUT_PAIRS) == 2
    assert not set(tasks.HELD_OUT_PAIRS) & set(tasks.TRAIN_PAIRS)
    assert {thing for thing, _ in tasks.TRAIN_PAIRS} == set(tasks.OBJECTS)
    assert {container for _, container in tasks.TRAIN_PAIRS} == set(tasks.CONTAINERS)
    assert tasks.parse(tasks.DEMO_TASK) in tasks.TRAIN_PAIRS


def test_every_name_has_a_shape_of_its_own_colour():
    assert len({prism.rgb for prism in PRISMS.values()} | {c.rgb for c in CONTAINERS.values()}) == 7
    assert set(PRISMS) == set(tasks.OBJECTS)
    assert set(CONTAINERS) == set(tasks.CONTAINERS)
