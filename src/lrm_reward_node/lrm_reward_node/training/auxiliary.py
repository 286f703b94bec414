"""Dense auxiliary questions about one picture, so that a tiny model learns to see what the three prompts need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrm_reward_node.training.pools import Pool, Samples, make_pool, single_value, soft_values
from lrm_reward_node.training.questions import BIN_PIECES, BINS, PromptTable, value_tokens
from lrm_reward_node.training.table import CONTAINER_SLOTS, OBJECT_SLOTS, SLOTS, FrameTable

RANGES_M = {"z": (0.0, 0.15), "d": (0.0, 0.30)}
"""Heights and distances are binned over these ranges."""

GRIPPER = "gripper"


def auxiliary_pool(table: FrameTable, prompts: PromptTable) -> Pool:
    """Where is it, how high, how far, is it held, is it inside, is it there: for everything in the scene.

    Questions that name an object and a container are asked for trained pairs only.
    """
    asker = _Asker(table, prompts)
    where = [asker.where(slot) for slot in range(len(SLOTS))]
    pairs = [(thing, container) for thing in OBJECT_SLOTS for container in CONTAINER_SLOTS]
    return make_pool(
        "auxiliary",
        [
            *((0.08, samples) for samples in where),
            (0.08, asker.where_gripper()),
            *((0.06, asker.height(slot)) for slot in OBJECT_SLOTS),
            (0.04, asker.height_gripper()),
            *((0.08, asker.reach(slot)) for slot in OBJECT_SLOTS),
            *((0.04, asker.distance(*pair)) for pair in pairs),
            *((0.03, asker.inside(*pair, answer)) for pair in pairs for answer in (0, 1)),
            *((0.03, asker.held(slot, answer)) for slot in OBJECT_SLOTS for answer in (0, 1)),
            (0.04, asker.present(True)),
            (0.04, asker.present(False)),
        ],
    )


class _Asker:
    def __init__(self, table: FrameTable, prompts: PromptTable) -> None:
        self.table, self.prompts = table, prompts
        self.bins = {axis: value_tokens(prompts.tokenizer, pieces) for axis, pieces in BIN_PIECES.items()}
        self.no, self.yes = value_tokens(prompts.tokenizer, ("no", "yes"))
        flat = np.concatenate((table.places.reshape(-1, 3), table.tcp))
        self.low, self.high = np.nanquantile(flat[:, :2], (0.005, 0.995), axis=0)
        self.trained = {(names[0], names[2]) for names in table.names.tolist() if names[0] >= 0}

    def where(self, slot: int) -> Samples:
        rows, frames = self._rows(lambda name: f"Where is the {name}?", slot, values=2)
        return self._plane(rows, frames, self.table.places[frames, slot])

    def where_gripper(self) -> Samples:
        rows, frames = self._all(f"Where is the {GRIPPER}?", values=2)
        return self._plane(rows, frames, self.table.tcp[frames])

    def height(self, slot: int) -> Samples:
        rows, frames = self._rows(lambda name: f"How high is the {name}?", slot)
        return self._level(rows, frames, "z", self.table.places[frames, slot, 2])

    def height_gripper(self) -> Samples:
        rows, frames = self._all(f"How high is the {GRIPPER}?")
        return self._level(rows, frames, "z", self.table.tcp[frames, 2])

    def reach(self, slot: int) -> Samples:
        rows, frames = self._rows(lambda name: f"How far is the {GRIPPER} from the {name}?", slot)
        away = np.linalg.norm(self.table.tcp[frames] - self.table.places[frames, slot], axis=-1)
        return self._level(rows, frames, "d", away)

    def distance(self, thing: int, container: int) -> Samples:
        rows, frames = self._pair_rows("How far is the {} from the {}?", thing, container)
        places = self.table.places[frames]
        away = np.linalg.norm(places[:, thing, :2] - places[:, container, :2], axis=-1)
        return self._level(rows, frames, "d", away)

    def inside(self, thing: int, container: int, answer: int) -> Samples:
        rows, frames = self._pair_rows("Is the {} in the {}?", thing, container)
        chosen = self.table.inside[frames, thing, container - len(OBJECT_SLOTS)] == answer
        return self._answer(rows[chosen], frames[chosen], bool(answer))

    def held(self, slot: int, answer: int) -> Samples:
        rows, frames = self._rows(lambda name: f"Is the {name} held?", slot)
        chosen = self.table.held[frames, slot] == bool(answer)
        return self._answer(rows[chosen], frames[chosen], bool(answer))

    def present(self, answer: bool) -> Samples:
        """Is it there: each of the scene's things, or as many that are not there."""
        table = self.table
        rows = np.array([self.prompts.auxiliary(f"Is there a {name}?") for name in table.things])
        there = np.zeros((len(table.tasks), len(table.things)), bool)
        for slot in range(len(SLOTS)):
            known = table.names[:, slot] >= 0
            there[np.flatnonzero(known), table.names[known, slot]] = True
        frames, things = np.nonzero((there[table.episode] == answer) & ~table.tampered[:, None])
        return self._answer(rows[things], frames, answer)

    def _rows(self, question: Callable[[str], str], slot: int, values: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Prompt rows and frames of a question about one slot; frames without it are left out."""
        by_thing = np.array([self.prompts.auxiliary(question(name), values) for name in self.table.things])
        names = self.table.names[self.table.episode, slot]
        frames = np.flatnonzero(names >= 0)
        return by_thing[names[frames]], frames

    def _pair_rows(self, question: str, thing: int, container: int) -> tuple[np.ndarray, np.ndarray]:
        by_episode = np.array([self._pair_row(question, names[thing], names[container]) for names in self.table.names])
        rows = by_episode[self.table.episode]
        frames = np.flatnonzero(rows >= 0)
        return rows[frames], frames

    def _pair_row(self, question: str, thing: int, container: int) -> int:
        if (thing, container) not in self.trained:
            return -1
        return self.prompts.auxiliary(question.format(self.table.things[thing], self.table.things[container]))

    def _all(self, question: str, values: int = 1) -> tuple[np.ndarray, np.ndarray]:
        frames = np.flatnonzero(~self.table.tampered)
        return np.full(len(frames), self.prompts.auxiliary(question, values)), frames

    def _plane(self, rows: np.ndarray, frames: np.ndarray, at: np.ndarray) -> Samples:
        level = np.clip((at[:, :2] - self.low) / (self.high - self.low), 0.0, 1.0) * (BINS - 1)
        return soft_values(rows, frames[:, None], [(self.bins["x"], level[:, 0]), (self.bins["y"], level[:, 1])])

    def _level(self, rows: np.ndarray, frames: np.ndarray, axis: str, value_m: np.ndarray) -> Samples:
        low, high = RANGES_M[axis]
        level = np.clip((value_m - low) / (high - low), 0.0, 1.0) * (BINS - 1)
        return soft_values(rows, frames[:, None], [(self.bins[axis], level)])

    def _answer(self, rows: np.ndarray, frames: np.ndarray, answer: bool) -> Samples:
        return single_value(rows, frames[:, None], np.full(len(rows), self.yes if answer else self.no))
