"""Procgen: sixteen games whose levels are made by a program (Cobbe et al., 2020).

arXiv:1912.01588; the real games, stepped by EnvPool (Weng et al., arXiv:2206.10558).
A level is a number. Training sees few of them (200), dev and test see others, so the
distance between the split `train` and the other two is what was learned by heart.

What is notable: EnvPool steps its environments together, in threads, and their answers
do not depend on the threads. An environment draws a level at each reset from its own
generator, hence one is restored by as many resets as there were and the actions since,
bit for bit; a reset costs 0.2 ms. One thing outlives a reset: the way that was moved
last, in which a ball of dodgeball flies (`last_move_action` in Procgen's source).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from t2t import registry
from t2t.environments import Environment, Environments, Observation, Turn
from t2t.problems.control import Control, Single, Vector, split_seed
from t2t.problems.problem import DEV, TRAIN, DataUnavailable

SIDE = 64  # pixels
DRAWN = 512  # pixels of a film's picture
ACTIONS = 15
STAY, SPECIALS, BEFORE_ANY = 4, 9, 7  # buttons: no move, not moves, as if moved so
DEV_END, TEST_END = 2**30, 2**31 - 1  # levels
INSTALL = (
    "pip install -e '.[procgen]', and on Debian apt install libqt5core5a libqt5gui5"
)


class Procgen(Control):
    """A game of Procgen: 64 x 64 pixels in, one of 15 buttons out.

    Train has the levels from `start_level` on, `num_levels` of them; dev those from
    there to 2^30, test those after. Never compare the modes: their levels differ.

    Args:
      mode: 'easy' or 'hard', for some games also 'exploration', 'memory', 'extreme'.
      num_levels, start_level: of train, below 2^30.

    Raises:
      ValueError: for levels that are none.
    """

    FEATURES = {"observation": "image", "action": "label"}
    SUGGESTED = ("ppo_procgen_small", "ppo")
    GAME = ""
    licence = "MIT"

    def __init__(
        self, *, mode: str = "easy", num_levels: int = 200, start_level: int = 0
    ) -> None:
        self.mode = mode
        self.num_levels, self.start_level = num_levels, start_level
        if num_levels < 1 or start_level < 0 or start_level + num_levels >= DEV_END:
            raise ValueError(
                f"num_levels={num_levels}, start_level={start_level}: at least 1 and "
                "0, and together below 2^30"
            )

    def levels(self, split: str) -> range:
        """The levels that a split draws from."""
        first, end = self.start_level, self.start_level + self.num_levels
        if split == TRAIN:
            return range(first, end)
        return range(end, DEV_END) if split == DEV else range(DEV_END, TEST_END)

    def environment(self, split: str, *, render: bool = False) -> Environment:
        task, levels = self._task(), self.levels(split)
        from gymnasium import spaces

        return Single(
            lambda seed: Games(task, levels, 1, seed=seed, render=render),
            spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8),
            spaces.Discrete(ACTIONS),
        )

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        """`count` of them, by EnvPool's threads; each split has levels of its own."""
        return Games(
            self._task(),
            self.levels(split),
            count,
            seed=split_seed(seed, split) >> 1,
            render=render,
        )

    def _task(self) -> str:
        """EnvPool's name of the game in its mode.

        Raises:
          DataUnavailable: without EnvPool or what it needs of the system.
          ValueError: for a mode that the game does not have.
        """
        try:
            import envpool
            import envpool.procgen

            envpool.procgen.ProcgenGymnasiumEnvPool  # noqa: B018  loads Qt
        except ImportError as error:
            reason = str(error).split(". ")[0].split("\n")[0]
            raise DataUnavailable(
                f"{self.name} needs EnvPool ({reason}): {INSTALL}"
            ) from error
        game, version = self.GAME.capitalize(), "-v0"
        modes = [
            name.removeprefix(game).removesuffix(version).lower()
            for name in envpool.list_all_envs()
            if name.startswith(game) and name.endswith(version)
        ]
        if self.mode not in modes:
            hint = registry.close_to(self.mode, modes)
            raise ValueError(
                f"mode={self.mode!r}: {self.name} has {', '.join(modes)}.{hint}"
            )
        return f"{game}{self.mode.capitalize()}{version}"


class Games(Vector):
    """N environments of EnvPool, which restart by themselves.

    Args:
      task: EnvPool's name.
      levels: to draw from.
      count: N.
      seed: of all levels drawn, below 2^31.
      render: whether `render` will be asked for.

    Attributes:
      playing: int32 [N], the level that each is in.
    """

    def __init__(
        self, task: str, levels: range, count: int, *, seed: int, render: bool = False
    ) -> None:
        super().__init__(count)
        self._task, self._levels, self._seed = task, levels, seed
        self._drawn = {"render_mode": "rgb_array"} if render else {}
        if render:
            self._drawn |= {"render_width": DRAWN, "render_height": DRAWN}
        self._pool: Any = None
        self._moved = [BEFORE_ANY] * count  # last, in the episodes before

    def reset(self) -> Observation:
        import envpool

        self._begin_anew()
        self._moved = [BEFORE_ANY] * self.count
        # Only a new pool draws the first levels again.
        self.close()
        self._pool = envpool.make(
            self._task,
            "gymnasium",
            num_envs=self.count,
            seed=self._seed,
            num_levels=len(self._levels),
            start_level=self._levels.start,
            channel_first=False,
            **self._drawn,
        )
        seen, info = self._pool.reset()
        self.playing = info["level_seed"]
        return {"observation": seen}

    def state(self) -> dict[str, Any]:
        return {**super().state(), "moved": list(self._moved)}

    def restore(self, state: dict[str, Any]) -> Observation:
        seen = self.reset()["observation"]
        self._episodes, self._moved = list(state["episodes"]), list(state["moved"])
        self._actions = [list(actions) for actions in state["actions"]]
        every = range(self.count)
        for k in range(max(self._episodes)):
            last = np.array([n for n in every if self._episodes[n] == k + 1], int)
            if len(last):
                self._pool.step(np.array(self._moved)[last], last)
            again = [n for n in every if self._episodes[n] > k]
            found, info = self._pool.reset(np.array(again))
            seen[info["env_id"]] = found
            self.playing[info["env_id"]] = info["level_seed"]
        for t in range(max(map(len, self._actions))):
            acting = [n for n in every if len(self._actions[n]) > t]
            taken = np.array([self._actions[n][t] for n in acting])
            found, _, ended, cut, info = self._pool.step(taken, np.array(acting))
            seen[info["env_id"]] = found
            self._ended[info["env_id"]] = ended | cut
        return {"observation": seen}

    def render(self) -> np.ndarray:
        """What the first one looks like, uint8 [512, 512, 3]; made with `render`."""
        return self._pool.render()[0]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _answer(self, action: np.ndarray) -> Turn:
        for n in np.flatnonzero(self._ended):
            moves = [a for a in self._actions[n] if a < SPECIALS and a != STAY]
            self._moved[n] = moves[-1] if moves else self._moved[n]
        seen, reward, ended, cut, info = self._pool.step(action)
        self.playing = info["level_seed"]
        return Turn({"observation": seen}, reward, ended, cut)


@registry.problem
class ProcgenBigfish(Procgen):
    """Eat smaller fish and grow, without being eaten."""

    GAME = "bigfish"


@registry.problem
class ProcgenBossfight(Procgen):
    """Shoot down a boss ship that shields itself and fires."""

    GAME = "bossfight"


@registry.problem
class ProcgenCaveflyer(Procgen):
    """Fly through caves to a goal, shooting what is in the way."""

    GAME = "caveflyer"


@registry.problem
class ProcgenChaser(Procgen):
    """Eat all orbs of a maze, hunted as in Pac-Man."""

    GAME = "chaser"


@registry.problem
class ProcgenClimber(Procgen):
    """Climb platforms and collect stars, past monsters."""

    GAME = "climber"


@registry.problem
class ProcgenCoinrun(Procgen):
    """Run and jump to the coin at the far end."""

    GAME = "coinrun"


@registry.problem
class ProcgenDodgeball(Procgen):
    """Hit all enemies with balls, dodge theirs, then leave."""

    GAME = "dodgeball"


@registry.problem
class ProcgenFruitbot(Procgen):
    """Steer through gaps, take fruit and leave the rest."""

    GAME = "fruitbot"


@registry.problem
class ProcgenHeist(Procgen):
    """Steal a gem behind locks whose keys lie in a maze."""

    GAME = "heist"


@registry.problem
class ProcgenJumper(Procgen):
    """Double-jump through a cave to the carrot; a compass shows where."""

    GAME = "jumper"


@registry.problem
class ProcgenLeaper(Procgen):
    """Cross a road and a river on logs, as in Frogger."""

    GAME = "leaper"


@registry.problem
class ProcgenMaze(Procgen):
    """Find the cheese in a maze."""

    GAME = "maze"


@registry.problem
class ProcgenMiner(Procgen):
    """Dig out all diamonds under falling stones, then leave."""

    GAME = "miner"


@registry.problem
class ProcgenNinja(Procgen):
    """Jump across ledges to the mushroom, past bombs."""

    GAME = "ninja"


@registry.problem
class ProcgenPlunder(Procgen):
    """Sink enemy ships before the time is up, and spare friends."""

    GAME = "plunder"


@registry.problem
class ProcgenStarpilot(Procgen):
    """Fly sideways through enemies and shoot them."""

    GAME = "starpilot"
