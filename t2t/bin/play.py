"""What `t2t-decoder` does with a model that acts: it plays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.bin.command import UsageError, load_tensorflow
from t2t.config import Config

VIDEOS = (".mp4", ".gif")
NOT_HERE = (
    "decode_from_file", "decode_to_file", "decode_interactive", "score_file",
)  # fmt: skip


def problem_of(config: Config, flags: dict[str, Any]) -> str:
    """The problem to play: the run's, or another that shows and takes the same.

    Raises:
      UsageError: for a flag that is about texts, or a problem of another kind.
    """
    given = next((name for name in NOT_HERE if flags[name]), None)
    if given:
        raise UsageError(
            f"--{given} is about texts, and {config.knob('problem')} is played: give "
            "--episodes and --video"
        )
    name = flags["problem"] or config.knob("problem")
    zoo = registry.current()
    if not zoo.load("problem", name).interactive:
        raise UsageError(f"--problem={name} has examples; a model that acts plays")
    video = flags["video"]
    if video and Path(video).suffix not in VIDEOS:
        raise UsageError(f"--video={video}: a video ends in {' or '.join(VIDEOS)}")
    if video and not Path(video).absolute().parent.is_dir():
        raise UsageError(f"--video={video}: there is no such folder")
    if flags["episodes"] < 1:
        raise UsageError(f"--episodes={flags['episodes']}: at least 1")
    return name


def play_run(
    config: Config, checkpoint: Path, flags: dict[str, Any], *, name: str
) -> None:
    """Plays, prints a line an episode and their mean, and films the first one."""
    load_tensorflow()
    from t2t.decode.decoder import Decoder
    from t2t.rl.acting import Policy
    from t2t.rl.play import film, play, scores
    from t2t.run.problems import make_problem

    decoder = Decoder.from_run(flags["output_dir"], checkpoint_path=checkpoint)
    problem = decoder.problem
    if name != config.knob("problem"):
        problem = make_problem(Config(knobs={"problem": name}))
        if problem.offered() != decoder.problem.offered():
            raise UsageError(
                f"--problem={name} shows or takes other things than "
                f"{config.knob('problem')}, which the model has learned"
            )
    policy, split = Policy(decoder.model, seed=0), flags["split"] or "test"
    episodes = play(problem, policy, split=split, episodes=flags["episodes"])
    for number, episode in enumerate(episodes, 1):
        print(f"episode {number}\t{episode.total:.6g}\t{episode.length} steps")
    for metric, value in scores(episodes).items():
        print(f"{metric}\t{value:.6g}")
    if flags["video"]:
        film(problem, policy, Path(flags["video"]), split=split)
        print(f"the first episode: {flags['video']}", file=sys.stderr)
