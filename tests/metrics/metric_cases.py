"""Made-up masks and answers, random and adversarial: make_metric_reference.py runs the published code on them.

Masks: ``(prediction, target, void or None)``, bool ``[T,H,W]``. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import numpy as np

Case = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def disks(num_frames: int, height: int, width: int, seed: int) -> np.ndarray:
    """A disk that wanders and may leave the picture, bool ``[T,H,W]``."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    centre = rng.uniform(0.2, 0.8, 2) * (height, width)
    step = rng.uniform(-0.12, 0.12, 2) * (height, width)
    radius = rng.uniform(0.1, 0.3) * min(height, width)
    masks = []
    for frame in range(num_frames):
        y, x = centre + frame * step
        masks.append((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)
    return np.array(masks)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=bool)


# -- plain ------------------------------------------------------------------------------------------------------------


def shifted() -> Case:
    target = disks(6, 96, 128, seed=1)
    return np.roll(target, (1, 2), axis=(1, 2)), target, None


def overlapping() -> Case:
    return disks(6, 120, 90, seed=2), disks(6, 120, 90, seed=2) | disks(6, 120, 90, seed=3), None


def leaving() -> Case:
    prediction, target = disks(8, 64, 64, seed=4), disks(8, 64, 64, seed=4)
    prediction[5:] = False
    target[:2] = False
    prediction[0] = False
    return prediction, target, None


def noisy() -> Case:
    rng = np.random.default_rng(5)
    target = disks(4, 200, 300, seed=6)
    return target ^ (rng.random(target.shape) < 0.02), target, None


def with_void() -> Case:
    rng = np.random.default_rng(7)
    prediction, target = disks(5, 80, 80, seed=8), disks(5, 80, 80, seed=9)
    return prediction, target, rng.random(target.shape) < 0.1


def large() -> Case:
    target = disks(2, 480, 854, seed=10)
    return np.roll(target, (3, -7), axis=(1, 2)), target, None


# -- adversarial ------------------------------------------------------------------------------------------------------


def at_the_edge() -> Case:
    target = zeros(3, 50, 60)
    target[0, 30:, 40:], target[1, :, 59], target[2, 49, 59] = True, True, True
    prediction = np.zeros_like(target)
    prediction[0, 32:, 41:], prediction[1, :, 57], prediction[2, 48:, 58:] = True, True, True
    return prediction, target, None


def along_every_border() -> Case:
    """A line on one border against a line one to six pixels inside of it: the first and the last words of a bitmap."""
    prediction, target = zeros(24, 130, 131), zeros(24, 130, 131)
    for index in range(24):
        side, inset = index % 4, 1 + index // 4
        for mask, at in ((target[index], 0), (prediction[index], inset)):
            line = np.rot90(mask, side)
            line[at] = True
    return prediction, target, None


def empty_and_full() -> Case:
    """Nothing, everything, and each against the other."""
    prediction, target = zeros(4, 40, 70), zeros(4, 40, 70)
    prediction[1:3], target[2:4] = True, True
    return prediction, target, None


def one_pixel() -> Case:
    """Single pixels: in the same place, beside, at the corners, and further apart than the tolerance."""
    places = [((20, 30), (20, 30)), ((20, 30), (20, 31)), ((0, 0), (0, 0)), ((0, 0), (49, 69)), ((49, 69), (49, 69))]
    places += [((49, 0), (48, 0)), ((0, 69), (1, 68)), ((20, 30), (22, 30)), ((20, 63), (20, 64)), ((5, 5), (5, 40))]
    prediction, target = zeros(len(places), 50, 70), zeros(len(places), 50, 70)
    for index, (one, other) in enumerate(places):
        prediction[index][one], target[index][other] = True, True
    return prediction, target, None


def patterns() -> Case:
    """Checkerboard, stripes, a diagonal, noise: boundaries nearly everywhere."""
    rows, columns = np.mgrid[:61, :83]
    rng = np.random.default_rng(11)
    target = np.array([(rows + columns) % 2 == 0, columns % 3 == 0, rows == columns, rng.random(rows.shape) < 0.5])
    prediction = np.array([(rows + columns) % 2 == 1, rows % 3 == 0, rows == columns + 2, rng.random(rows.shape) < 0.5])
    return prediction, target, None


def holes() -> Case:
    """Rings and frames, one inside the other."""
    rows, columns = np.mgrid[:90, :110]
    distance = np.hypot(rows - 45, columns - 55)
    target = np.array([(distance > 15) & (distance < 30), np.ones((90, 110), bool)])
    prediction = np.array([distance < 30, np.ones((90, 110), bool)])
    target[1, 10:80, 10:100], prediction[1, 11:80, 10:99] = False, False
    return prediction, target, None


def all_void() -> Case:
    prediction, target = disks(3, 45, 64, seed=12), disks(3, 45, 64, seed=13)
    void = zeros(3, 45, 64)
    void[0], void[1] = True, target[1]
    void[2, :, 32:] = True
    return prediction, target, void


def huge() -> Case:
    """One frame of 2160 × 3840, the tolerance being 36 pixels, with shapes that run along and into the borders."""
    target = disks(1, 2160, 3840, seed=14)
    target[0, :, :3], target[0, -400:, -5:], target[0, 1000:1002] = True, True, True
    prediction = np.roll(target, (17, 29), axis=(1, 2))
    prediction[0, :, 20:24] = True
    return prediction, target, None


def _of_size(height: int, width: int, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    grain = rng.random((3, height, width)) < 0.04
    target = disks(3, height, width, seed) | (rng.random((3, height, width)) < 0.02)
    void = rng.random(target.shape) < 0.05 if seed % 3 == 0 else None
    return np.roll(target, rng.integers(-3, 4, 2), axis=(1, 2)) ^ grain, target, void


#: Odd sizes: single rows, columns and pixels, and widths around the 64 bits of a word.
SIZES = [(1, 1), (1, 37), (37, 1), (2, 2), (53, 61), (63, 64), (64, 63), (65, 65), (127, 129), (5, 700), (700, 5)]

NAMED = (shifted, overlapping, leaving, noisy, with_void, large, at_the_edge, along_every_border, empty_and_full)
NAMED += (one_pixel, patterns, holes, all_void, huge)


def mask_cases() -> dict[str, Case]:
    """Every case by its name."""
    cases = {case.__name__: case() for case in NAMED}
    for number, (height, width) in enumerate(SIZES):
        cases[f"{height} x {width}"] = _of_size(height, width, 100 + number)
    rng = np.random.default_rng(200)
    for number in range(20):
        height, width = (int(side) for side in rng.integers(3, 220, 2))
        cases[f"random {number}"] = _of_size(height, width, 300 + number)
    return cases


# -- sequences of several objects -------------------------------------------------------------------------------------

ANNOTATORS = 4


def sequences() -> dict[str, tuple[np.ndarray, list[np.ndarray]]]:
    """Name → true labels uint8 ``[T,H,W]`` with 255 for void, and the labels that each annotator's expressions found.

    The second annotator's results hold an object too many, the third's lack the last one, and the fourth's are in
    another order, with something else in place of one.
    """
    result = {}
    for number, (num_objects, num_frames) in enumerate([(1, 9), (2, 12), (4, 7), (3, 4)]):
        shape = (90 + 7 * number, 130 + 11 * number)
        rng = np.random.default_rng(400 + number)
        tracks = [disks(num_frames, *shape, seed=410 + 10 * number + index) for index in range(num_objects)]
        target = np.zeros((num_frames, *shape), np.uint8)
        for index, track in enumerate(tracks):
            # The corner keeps every object in the first frame.
            track[0, index, :3] = True
            target[track] = index + 1
        target[rng.random(target.shape) < 0.01] = 255
        predictions = []
        for annotator in range(ANNOTATORS):
            labels = np.zeros_like(target)
            for index, track in enumerate(tracks):
                moved = np.roll(track, rng.integers(-4, 5, 2), axis=(1, 2))
                labels[moved & (rng.random(track.shape) > 0.1 * annotator)] = index + 1
            if annotator == 1:
                labels[disks(num_frames, *shape, seed=510 + number) & (labels == 0)] = num_objects + 1
            if annotator == 2:
                labels[labels == num_objects] = 0
            if annotator == 3:
                labels = np.where(labels == 1, 0, labels)
                labels[disks(num_frames, *shape, seed=500 + number)] = 1
                labels = np.array([0, *rng.permutation(num_objects) + 1], np.uint8)[labels]
            predictions.append(labels)
        result[f"sequence-{number}"] = target, predictions
    return result


# -- captions ---------------------------------------------------------------------------------------------------------

#: Predicted caption, reference captions.
CAPTIONS = [
    ("the red circle left of the star", ["a red circle left of the star", "the round red thing"]),
    ("two dogs wag their tails", ["Two dogs' tails, wagging!"]),
    ("", ["a man"]),
    ("A man rides a horse on the beach.", ["a man riding a horse along the shore", "someone on a horse, near the sea"]),
    ("sky", ["a very long description of a street with cars; buildings, and people walking (in the rain)"]),
    ("one line\nand another", ["one line and another"]),
    ("?", ["what is it?"]),
]

#: Predicted phrase, reference phrase.
PHRASES = [("a red circle", "the red disk"), ("dog", "dog"), ("two small dogs", "a large star"), ("", "star")]


def grounded_pictures() -> list[tuple[np.ndarray, np.ndarray, list[str], list[str]]]:
    """Predicted masks ``[P,H,W]``, true masks ``[N,H,W]``, their phrases; no mask is empty."""
    pictures = []
    words = ["red circle", "blue star", "green heart", "small red circle", "large blue star"]
    for number in range(12):
        rng = np.random.default_rng(600 + number)
        num_true, num_extra = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        true = np.array([disks(1, 48, 64, 610 + 10 * number + index)[0] for index in range(num_true)])
        moved = [np.roll(mask, rng.integers(-3, 4, 2), axis=(0, 1)) for mask in true if rng.random() < 0.85]
        moved += [disks(1, 48, 64, 700 + 10 * number + index)[0] for index in range(num_extra)]
        predicted = np.array(moved).reshape(-1, 48, 64)
        labels = [words[int(index)] for index in rng.integers(0, len(words), num_true)]
        guesses = [words[int(index)] for index in rng.integers(0, len(words), len(predicted))]
        guesses = [labels[i] if i < num_true and rng.random() < 0.6 else guess for i, guess in enumerate(guesses)]
        pictures.append((predicted, true, guesses, labels))
    return pictures


def boxes() -> list[tuple[list[int], list[int]]]:
    """Pairs of boxes ``[x, y, width, height]`` whose overlap is none, or at least two pixels on each side."""
    rng = np.random.default_rng(800)
    pairs = [([0, 0, 40, 30], [0, 0, 40, 30]), ([0, 0, 4, 4], [30, 20, 4, 4]), ([5, 5, 10, 10], [7, 7, 3, 3])]
    while len(pairs) < 40:
        one, other = ([*rng.integers(0, 30, 2).tolist(), *rng.integers(2, 30, 2).tolist()] for _ in range(2))
        overlap = [min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]) for i in range(2)]
        if min(overlap) != 1:
            pairs.append((one, other))
    return pairs


def equal_last_words(one: str, other: str) -> float:
    """A similarity of phrases that needs no model: 1 where the last words are equal."""
    return float(one.split()[-1:] == other.split()[-1:])
