"""Who acts in DM Control: textbook controllers where they are enough, noise anywhere else.

No trained agents of the Suite are published as packages. A controller sees the whole physical state
and returns an action in [-1, 1]; what it earns is about the most there is to earn, so that its
episodes are those of an expert.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Controller: TypeAlias = Callable[[], NDArray[np.float64]]
"""Looks at the physics and returns the next action; not clipped."""

NOISE = "random noise, no expert"

_REVERSION, _SPREAD = 0.15, 0.3
_GRAVITY = 9.81
_ARM = (0.12, 0.12)
"""Metres from the reacher's shoulder to its wrist, and on to its finger."""


class SmoothNoise:
    """An Ornstein-Uhlenbeck process in every element of the action: random, but smooth enough to move a body."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._value = np.zeros(size)
        self._rng = rng

    def __call__(self) -> NDArray[np.float64]:
        """The next action, (size,); most elements are within [-1, 1]."""
        self._value += _SPREAD * self._rng.standard_normal(len(self._value)) - _REVERSION * self._value
        return self._value.copy()


class _Cartpole:
    """Astrom and Furuta's energy control of the pole, then a linear-quadratic regulator around the top."""

    def __init__(self, physics: Any) -> None:
        import scipy.linalg

        model = physics.named.model
        self._data = physics.data
        mass, arm = model.body_mass["pole_1"], model.body_ipos["pole_1"][2]
        self._total = mass + model.body_mass["cart"]
        self._moment = mass * arm
        self._inertia = model.body_inertia["pole_1"][1] + mass * arm**2
        self._gear = model.actuator_gear["slide"][0]
        total, moment, inertia = self._total, self._moment, self._inertia
        scale = total * inertia - moment**2
        a = np.zeros((4, 4))  # of cart position, pole angle from the top, and their velocities
        a[0, 2] = a[1, 3] = 1
        a[2:, 1] = np.array([-(moment**2), total * moment]) * _GRAVITY / scale
        b = np.array([0, 0, inertia, -moment])[:, None] * self._gear / scale
        r = np.eye(1)
        p = scipy.linalg.solve_continuous_are(a, b, np.diag([10.0, 10.0, 1.0, 1.0]), r)
        self._gains = b.T @ p

    def __call__(self) -> NDArray[np.float64]:
        (x, angle), (speed, spin) = self._data.qpos, self._data.qvel
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        if abs(angle) < 0.4 and abs(spin) < 3:
            return np.asarray(-self._gains @ np.array([x, angle, speed, spin]))
        cos, sin, moment = np.cos(angle), np.sin(angle), self._moment
        energy = 0.5 * self._inertia * spin**2 + moment * _GRAVITY * (cos - 1)
        pump = np.clip(100 * energy * spin * cos, -8, 8)
        wanted = pump - 2 * x - 1 * speed  # acceleration of the cart
        turning = moment * (_GRAVITY * sin - wanted * cos) / self._inertia
        force = self._total * wanted + moment * (turning * cos - spin**2 * sin)
        return np.array([force / self._gear])


class _Pendulum:
    """Torque along the motion while the energy is short of the top's, then feedback of angle and velocity."""

    def __init__(self, physics: Any) -> None:
        model = physics.named.model
        self._data = physics.data
        mass, arm = model.body_mass["pole"], model.body_ipos["pole"][2]
        self._moment = mass * arm * _GRAVITY
        self._inertia = model.body_inertia["pole"][1] + mass * arm**2

    def __call__(self) -> NDArray[np.float64]:
        angle, spin = float(self._data.qpos[0]), float(self._data.qvel[0])
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        if abs(angle) < 0.4 and abs(spin) < 2:
            return np.array([-20 * angle - 4 * spin])
        energy = 0.5 * self._inertia * spin**2 + self._moment * (np.cos(angle) - 1)
        return np.array([-10 * energy * (1.0 if spin >= 0 else -1.0)])


class _PointMass:
    """To the target in the middle, whatever direction each motor has."""

    def __init__(self, physics: Any) -> None:
        self._data = physics.data
        self._motors = physics.model.wrap_prm.reshape(2, 2)

    def __call__(self) -> NDArray[np.float64]:
        force = -20 * self._data.qpos - 1.5 * self._data.qvel
        return np.asarray(np.linalg.solve(self._motors.T, force))


class _Reacher:
    """Bends the arm towards the nearer of the two postures that reach the target."""

    def __init__(self, physics: Any) -> None:
        self._data = physics.data
        upper, lower = _ARM
        x, y = physics.named.data.geom_xpos["target", :2]
        bend = (x**2 + y**2 - upper**2 - lower**2) / (2 * upper * lower)
        wrists = np.arccos(np.clip(bend, -1, 1)) * np.array([1.0, -1.0])
        shoulders = np.arctan2(y, x) - np.arctan2(lower * np.sin(wrists), upper + lower * np.cos(wrists))
        self._postures = np.stack([shoulders, wrists], axis=1)

    def __call__(self) -> NDArray[np.float64]:
        errors = self._postures - self._data.qpos
        # the shoulder turns all the way round
        errors[:, 0] = (errors[:, 0] + np.pi) % (2 * np.pi) - np.pi
        error = errors[np.abs(errors).max(axis=1).argmin()]
        return np.asarray(3 * error - 0.45 * self._data.qvel)


_REGULATOR = "energy-based swing-up and a linear-quadratic regulator"
_PENDULUM = "energy-based swing-up and a proportional-derivative controller"
_PULL = "a proportional-derivative controller"
CONTROLLERS: Mapping[str, tuple[str, Callable[[Any], Controller]]] = {
    "cartpole-balance": (_REGULATOR, _Cartpole),
    "cartpole-balance_sparse": (_REGULATOR, _Cartpole),
    "cartpole-swingup": (_REGULATOR, _Cartpole),
    "cartpole-swingup_sparse": (_REGULATOR, _Cartpole),
    "pendulum-swingup": (_PENDULUM, _Pendulum),
    "point_mass-easy": (_PULL, _PointMass),
    "point_mass-hard": (_PULL, _PointMass),
    "reacher-easy": (_PULL, _Reacher),
    "reacher-hard": (_PULL, _Reacher),
}
"""The tasks that are played well: what plays them, and how it is made from the physics of an
episode just begun."""
