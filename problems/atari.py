"""Atari 2600 games by the Arcade Learning Environment (Bellemare et al., 2013).

arXiv:1207.4708, set up as Machado et al., arXiv:1709.06009, say: an action is repeated
with chance 0.25 (sticky actions), a lost life ends nothing, no idle beginning. A step
is 4 frames; the last 4 steps are seen at once, each the larger of its last two frames,
in 84 x 84 grey (Mnih et al., 2015). The games come with `ale-py`.

What is notable: ALE steps its environments together, in threads. Each episode begins
from a seed of its own, so an environment is restored by that seed and the actions
since, bit for bit; for a seed ALE starts the console anew, which takes 0.1 s.

Another of ALE's 108 games is a class of three lines in a folder of yours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from t2t import registry
from t2t.environments import Environment, Environments, Observation, Turn
from t2t.problems.control import Control, Single, Vector, split_seed
from t2t.problems.problem import TRAIN, DataUnavailable

SIDE, STACK = 84, 4  # pixels, steps seen at once
MAGNIFIED = 4  # a film's picture


class Atari(Control):
    """A game of the Atari 2600: pixels in, the buttons that it has out.

    Args:
      repeat_action_probability: that a frame's action is the frame's before.
      frame_skip: frames of a step.
      max_frames: of an episode, which is then truncated; 108 000 are half an hour.
      clip_rewards: to their signs, in training only: scores stay comparable.
      episodic_life: whether a lost life terminates, in training only.
    """

    FEATURES = {"observation": "image", "action": "label"}
    SUGGESTED = ("ppo_procgen_small", "ppo")
    GAME = ""
    licence = "GPL-2.0 (ALE); the games are their makers'"

    def __init__(
        self,
        *,
        repeat_action_probability: float = 0.25,
        frame_skip: int = 4,
        max_frames: int = 108_000,
        clip_rewards: bool = False,
        episodic_life: bool = False,
    ) -> None:
        self.repeat_action_probability = repeat_action_probability
        self.frame_skip, self.max_frames = frame_skip, max_frames
        self.clip_rewards, self.episodic_life = clip_rewards, episodic_life

    def environment(self, split: str, *, render: bool = False) -> Environment:
        console = self._console(split, 1)
        from gymnasium import spaces

        buttons = console.single_action_space
        console.close()
        return Single(
            lambda seed: Games(self._console(split, 1), 1, seed=seed),
            spaces.Box(0, 255, (SIDE, SIDE, STACK), np.uint8),
            buttons,
        )

    def environments(
        self, split: str, count: int, *, seed: int, render: bool = False
    ) -> Environments:
        """`count` of them, by ALE's threads; each split has seeds of its own."""
        return Games(self._console(split, count), count, seed=split_seed(seed, split))

    def _console(self, split: str, count: int) -> Any:
        """ALE's vector.

        Raises:
          DataUnavailable: without `ale-py`.
        """
        try:
            from ale_py.vector_env import AtariVectorEnv
        except ImportError as error:
            reason = str(error).split("\n")[0]
            raise DataUnavailable(
                f"{self.name} needs ale-py ({reason}): pip install -e '.[atari]'"
            ) from error
        return AtariVectorEnv(
            self.GAME,
            count,
            repeat_action_probability=self.repeat_action_probability,
            frameskip=self.frame_skip,
            max_num_frames_per_episode=self.max_frames,
            reward_clipping=self.clip_rewards and split == TRAIN,
            episodic_life=self.episodic_life and split == TRAIN,
            img_height=SIDE,
            img_width=SIDE,
            stack_num=STACK,
            noop_max=0,
            use_fire_reset=False,
        )


class Games(Vector):
    """N consoles, which restart by themselves.

    Args:
      console: ALE's vector.
      count: N.
      seed: of all episodes.
    """

    def __init__(self, console: Any, count: int, *, seed: int) -> None:
        super().__init__(count)
        self._console, self._seed = console, seed
        self._seen = np.zeros((count, STACK, SIDE, SIDE), np.uint8)

    def reset(self) -> Observation:
        self._begin(list(range(self.count)))
        return self._observation()

    def restore(self, state: dict[str, Any]) -> Observation:
        self._episodes = list(state["episodes"])
        self._actions = [list(actions) for actions in state["actions"]]
        self.reset()
        # They are stepped together only: one with fewer actions begins again later.
        most = max(map(len, self._actions))
        for t in range(most + 1):
            late = [n for n in range(self.count) if t == most - len(self._actions[n])]
            if late and t:
                self._begin(late)
                self._ended[late] = False
            if t < most:
                taken = [
                    a[t - most] if t >= most - len(a) else 0 for a in self._actions
                ]
                answer = self._console.step(np.array(taken))
                self._seen, self._ended = answer[0], answer[2] | answer[3]
        return self._observation()

    def render(self) -> np.ndarray:
        """What is seen of the first one, grey: uint8 [336, 336, 3]."""
        large = np.kron(self._seen[0, -1], np.ones((MAGNIFIED, MAGNIFIED), np.uint8))
        return np.repeat(large[:, :, None], 3, axis=2)

    def close(self) -> None:
        self._console.close()

    def _answer(self, action: np.ndarray) -> Turn:
        self._seen, reward, ended, cut, _ = self._console.step(action)
        if self._ended.any():
            # ALE has reset these, but not from a seed.
            self._begin(np.flatnonzero(self._ended).tolist())
        reward = reward.astype(np.float32)
        return Turn(self._observation(), reward, ended, cut)

    def _begin(self, which: list[int]) -> None:
        seeds = [
            np.random.SeedSequence([self._seed, n, self._episodes[n]]).generate_state(1)
            for n in which
        ]
        mask = np.isin(np.arange(self.count), which)
        self._seen, _ = self._console.reset(
            seed=(np.concatenate(seeds) >> 1).astype(np.int64),
            options=None if mask.all() else {"reset_mask": mask},
        )

    def _observation(self) -> Observation:
        """uint8 [N, 84, 84, 4], the oldest first."""
        return {"observation": np.moveaxis(self._seen, 1, -1)}


@registry.problem
class AtariBeamRider(Atari):
    """Shoot enemies that come down five beams."""

    GAME = "beam_rider"


@registry.problem
class AtariBreakout(Atari):
    """Knock bricks out of a wall with a ball and a paddle."""

    GAME = "breakout"


@registry.problem
class AtariEnduro(Atari):
    """Overtake cars through day, night and snow."""

    GAME = "enduro"


@registry.problem
class AtariFreeway(Atari):
    """Lead a chicken over a motorway, as often as there is time for."""

    GAME = "freeway"


@registry.problem
class AtariMontezumaRevenge(Atari):
    """Find the treasure of a pyramid; rewards are rare, exploring is all."""

    GAME = "montezuma_revenge"


@registry.problem
class AtariMsPacman(Atari):
    """Eat the dots of a maze, and ghosts while they are blue."""

    GAME = "ms_pacman"


@registry.problem
class AtariPong(Atari):
    """Table tennis to 21 points: -21 to 21."""

    GAME = "pong"


@registry.problem
class AtariQbert(Atari):
    """Hop over a pyramid until all its cubes have changed colour."""

    GAME = "qbert"


@registry.problem
class AtariSeaquest(Atari):
    """Save divers with a submarine that must surface for air."""

    GAME = "seaquest"


@registry.problem
class AtariSpaceInvaders(Atari):
    """Shoot rows of invaders before they land."""

    GAME = "space_invaders"
