"""Classic control and MuJoCo, as gymnasium has them (Towers et al., arXiv:2407.17032).

The MuJoCo tasks are version 5. Published curves before 2024 are of versions 1 to 4,
whose rewards differ: never compare across versions.
"""

from __future__ import annotations

from t2t import registry
from t2t.problems.control import ContinuousControl, DiscreteControl, Gym


@registry.problem
class GymPendulum(Gym, ContinuousControl):
    """Swing a pendulum up and hold it: 200 steps, return -1600 to about -150."""

    ID = "Pendulum-v1"


@registry.problem
class GymCartPole(Gym, DiscreteControl):
    """Balance a pole on a cart: a reward of 1 a step, 500 steps at most."""

    ID = "CartPole-v1"


@registry.problem
class GymAcrobot(Gym, DiscreteControl):
    """Swing two links above a line: -1 a step until they are."""

    ID = "Acrobot-v1"


@registry.problem
class GymMountainCar(Gym, DiscreteControl):
    """Rock a weak car up a hill: -1 a step until it is there."""

    ID = "MountainCar-v0"


@registry.problem
class GymMountainCarContinuous(Gym, ContinuousControl):
    """Rock a weak car up a hill, with a force to choose."""

    ID = "MountainCarContinuous-v0"


@registry.problem
class GymHalfCheetah(Gym, ContinuousControl):
    """Run on two legs in the plane; never terminates, 1 000 steps."""

    ID = "HalfCheetah-v5"


@registry.problem
class GymHopper(Gym, ContinuousControl):
    """Hop forward on one leg without falling."""

    ID = "Hopper-v5"


@registry.problem
class GymWalker(Gym, ContinuousControl):
    """Walk on two legs in the plane without falling."""

    ID = "Walker2d-v5"


@registry.problem
class GymSwimmer(Gym, ContinuousControl):
    """Swim with three links in the plane."""

    ID = "Swimmer-v5"


@registry.problem
class GymAnt(Gym, ContinuousControl):
    """Walk on four legs."""

    ID = "Ant-v5"


@registry.problem
class GymHumanoid(Gym, ContinuousControl):
    """Walk as a humanoid of 17 joints without falling."""

    ID = "Humanoid-v5"
