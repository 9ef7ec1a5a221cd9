"""Fit the densities of `fusion/classtable.py` again: `python -m tests.bench.fit_classes` (six minutes of one core).

Skies with about as many of every class are seen through the engine, and the features of every track on an object are
taken once in four seconds. Per class a mixture of Gaussians with independent features is fitted by expectation and
maximisation, features that are not known left out, towards the class's own mean by ten samples. The temper is what
predicts the classes of one more sky best, weighted to the shares of the table of priors and to equal shares alike, so
that another mix is not answered much too boldly. None of these seeds is used in a test or a report.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from fusion import classes
from fusion.classes import EVIDENCE, FEATURES
from fusion.schema import F8, ObjectClass
from tests import classsky

SEEDS, TEMPER_SEED = (1001, 1002, 1003, 1004), 1005
SECONDS, EVERY = 700.0, 4
PARTS = 4
MOST = 6_000  # samples of a class
LEAST_SIGMA = 0.15  # of any feature: sharper than this is a habit of the simulator
PULL = 10.0  # samples that stand at the class's own mean
COUNTS = {
    "shahed": 10, "gerbera": 10, "parodiya": 4, "forpost": 4, "lancet": 4, "orlan-10": 5, "ar5-drone": 5,
    "tu-141": 6, "cruise-missile": 10, "quadcopter": 20, "light-aircraft": 22, "ultralight": 22, "sailplane": 22,
    "paraglider": 22, "airliner": 25, "fast-jet": 20, "helicopter": 20, "smuggling-balloon": 22, "geese": 30,
    "wind-turbine": 20,
}  # fmt: skip
TARGET = Path(__file__).resolve().parents[2] / "fusion" / "classtable.py"
HEAD = '''"""Densities of the features of behaviour, a mixture per class. Written by `tests.bench.fit_classes`.

Two lines a part, classes in order of ObjectClass from 1: ln weight and the means, then the sigmas, of
{features}.
Fitted on {samples} samples of {tracks} simulated tracks, seeds {seeds}; temper on seed {temper_seed}.
"""

TEMPER = {temper:.3f}
PARTS_OF_CLASS = {parts}
PARTS = """
{rows}
"""
'''


def collect(seed: int) -> tuple[F8, np.ndarray, int]:
    """(features (m, 10), classes (m,), how many tracks) of one sky."""
    features, labels, tracks = [], [], set()
    for number, look in enumerate(classsky.watch(classsky.sky(COUNTS, seed, SECONDS), SECONDS)):
        label = look.label()
        good = (label > 0) & ~np.isnan(look.features[:, 0])
        tracks |= set(look.tracks.id[good].tolist())
        if number % EVERY == 0:
            features.append(look.features[good])
            labels.append(label[good])
    print(f"seed {seed}: {sum(map(len, labels))} samples of {len(tracks)} tracks", flush=True)
    return np.concatenate(features), np.concatenate(labels), len(tracks)


def _terms(x: F8, mean: F8, sigma: F8) -> F8:
    """(n, parts, features) log densities; 0 where a feature is not known."""
    z = (x[:, None, :] - mean) / sigma
    return np.asarray(np.nan_to_num(-0.5 * z**2 - np.log(sigma) - 0.5 * np.log(2.0 * np.pi), nan=0.0))


def fit(x: F8, luck: np.random.Generator, steps: int = 60) -> tuple[F8, F8, F8]:
    """(ln weight (parts,), mean (parts, 10), sigma (parts, 10)) of one class."""
    known = ~np.isnan(x)
    centre, spread = np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-3
    whole = np.where(known, x, centre)
    first = [int(luck.integers(len(x)))]  # as far from each other as chance will have it (k-means++)
    for _ in range(PARTS - 1):
        away = np.min([(((whole - whole[one]) / spread) ** 2).sum(axis=1) for one in first], axis=0)
        first.append(int(luck.choice(len(x), p=away / away.sum())))
    mean, sigma = whole[first], np.tile(0.7 * spread, (PARTS, 1))
    weight = np.full(PARTS, 1.0 / PARTS)
    for _ in range(steps):
        log = _terms(x, mean, sigma).sum(axis=2) + np.log(weight)
        share = np.exp(log - logsumexp(log, axis=1, keepdims=True))
        weight = (share.sum(axis=0) + PULL) / (len(x) + PULL * PARTS)
        held = share[:, :, None] * known[:, None, :]
        count = held.sum(axis=0) + PULL
        mean = ((held * whole[:, None, :]).sum(axis=0) + PULL * centre) / count
        square = (held * (whole[:, None, :] - mean) ** 2).sum(axis=0) + PULL * (0.7 * spread) ** 2
        sigma = np.maximum(np.sqrt(square / count), LEAST_SIGMA)
    return np.log(weight), mean, sigma


def log_densities(x: F8, parts: list[tuple[F8, F8, F8]]) -> F8:
    """(n, classes) ln p(evidence | class, quality), in plain numpy: what the kernel must say too."""
    columns = []
    for weight, mean, sigma in parts:
        term = _terms(x, mean, sigma)
        quality = weight + term[:, :, EVIDENCE:].sum(axis=2)
        columns.append(logsumexp(quality + term[:, :, :EVIDENCE].sum(axis=2), axis=1) - logsumexp(quality, axis=1))
    return np.stack(columns, axis=1)


def fit_temper(x: F8, label: np.ndarray, parts: list[tuple[F8, F8, F8]]) -> float:
    """The power of the densities that predicts the classes of another sky best."""
    prior = np.array([row[1] for row in classes.TABLE][1:], np.float64)
    count = np.bincount(label, minlength=classes.K)[1:]
    even = np.full(len(prior), 1.0 / len(prior))
    shares = [(share / np.maximum(count, 1))[label - 1] for share in (prior / prior.sum(), even)]
    density = log_densities(x, parts)

    def loss(temper: float) -> float:
        log = temper * density + np.log(prior)
        true = log[np.arange(len(label)), label - 1] - logsumexp(log, axis=1)
        return -float(sum((share * true).sum() for share in shares))

    return float(minimize_scalar(loss, bounds=(0.1, 1.5), method="bounded").x)


def main() -> None:
    """Collect, fit, write."""
    luck = np.random.default_rng(1)
    skies = [collect(seed) for seed in SEEDS]
    x, label = np.concatenate([s[0] for s in skies]), np.concatenate([s[1] for s in skies])
    parts = []
    for kind in list(ObjectClass)[1:]:
        mine = x[label == kind]
        parts.append(fit(mine[luck.permutation(len(mine))[:MOST]], luck))
    rounded = [tuple(np.round(part, 3) for part in one) for one in parts]
    other = collect(TEMPER_SEED)
    temper = fit_temper(other[0], other[1], rounded)  # type: ignore[arg-type]
    rows = [
        "\n  ".join(" ".join(f"{value:g}" for value in line) for line in ((weight, *mean), sigma))
        for one in rounded
        for weight, mean, sigma in zip(*one, strict=True)
    ]
    text = HEAD.format(
        features=", ".join(FEATURES), samples=len(x), tracks=sum(s[2] for s in skies), seeds=", ".join(map(str, SEEDS)),
        temper_seed=TEMPER_SEED, temper=temper, parts=PARTS, rows="\n".join(rows),
    )  # fmt: skip
    TARGET.write_text(text, encoding="utf-8")
    print(f"temper {temper:.3f}; wrote {TARGET.name}")


if __name__ == "__main__":
    main()
