"""Find how a user's loop moved and mirrored its images, and whether it draws the moves once or in the wrong part."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import MIN_MATCHED, find_given_fraction, find_passed_fraction

CACHED, EVALUATED = "cached-augmentation", "evaluated-inputs"
SEPARATE_DATASETS = Message(
    "give each part a data set with its own transform: the subsets of random_split have one, so that "
    "Subset(Images(transform=augment), train_rows) and Subset(Images(transform=None), validation_rows) are "
    "made from two"
)
MAX_VALUES, MAX_ROWS = 1 << 20, 256
"""Values of the given images, and recorded images, that are compared: a few seconds."""
MIN_CORRELATION, MIN_LEAD = 0.8, 0.05
"""Correlation of an image with a given one that was moved, and its lead over that with the next given one."""
MIN_REPETITIONS, MAX_CHANCE = 8, 1e-9
"""Images that came again with one and the same move, and the probability of that if each move were drawn again."""
MIN_MOVES, MAX_COMMON_FRACTION = 2, 0.8
"""Different moves, and the fraction of the commonest one, of images that are moved at random."""
MIN_MATCHED_ROWS = 24

Move = tuple[bool, int, int]
"""Whether an image is mirrored, and by how many pixels it is moved down and to the right, cyclically."""


@dataclass(frozen=True)
class MovedImage:
    """A recorded image that is a given one.

    Args:
        number: of the given image.
        move: how it was moved.
        content: its values, as bytes.
    """

    number: int
    move: Move
    content: bytes


def find_misplaced_moves(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that each image has one random move for the whole training, or that validation images are moved, too.

    Moves that do not follow from chance, such as an image that is centered, are made in both parts alike. So the first
    is reported only if the evaluated images are the given ones, the second only if the moves of training are random.

    Args:
        case: the finished training.
        data: the training images ``(x, y)``, ``x (N, C, H, W)``.
        validation: the held-out images ``(x, y)``.

    Source: Shorten and Khoshgoftaar, "A survey on image data augmentation for deep learning", 2019; PyTorch
    documentation, torch.utils.data.random_split (the subsets have one data set).
    """
    if not _is_pair_of_images(data) or not _is_pair_of_images(validation) or data[0].numel() > MAX_VALUES:
        return
    recorded = [record.rows[0] for record in case.records if record.rows is not None]
    recorded = [rows for rows in recorded if rows.shape[1:] == data[0].shape[1:]]
    if not recorded or not find_passed_fraction(case, data[0]) < MIN_MATCHED:
        return
    samples = case.evaluated.samples.list_samples()
    samples = [sample for sample in samples if sample.shape[1:] == validation[0].shape[1:]]
    is_unmoved = bool(samples) and all(find_given_fraction(s, validation[0]) >= MIN_MATCHED for s in samples)
    repeated = _count_repetitions(torch.cat(recorded))
    if is_unmoved and repeated >= MIN_REPETITIONS:
        images = match_images(torch.cat(recorded)[:MAX_ROWS], data[0])
        yield from _find_cached_moves(case, images)
    elif samples and not is_unmoved and repeated < MIN_REPETITIONS and validation[0].numel() <= MAX_VALUES:
        images = match_images(torch.cat(recorded)[:MAX_ROWS], data[0])
        count = min(MAX_ROWS, len(validation[0]))  # those of one evaluation
        evaluated = match_images(samples[0][:count], validation[0])
        yield from _find_moves_of_evaluation(case, images, evaluated)


def match_images(images: torch.Tensor, references: torch.Tensor) -> list[MovedImage]:
    """Return those of some images that are given ones, moved and mirrored.

    The correlation with a given image is computed for all moves at once, by the discrete Fourier transform.

    Args:
        images: recorded ones ``(R, C, H, W)``.
        references: given ones ``(N, C, H, W)``.

    >>> references = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> [(image.number, image.move) for image in match_images(references[3:4].roll((2, 1), (2, 3)), references)]
    [(3, (False, 2, 1))]
    """
    size = tuple(references.shape[-2:])
    rows, originals = (_normalize(x.detach().cpu().float()) for x in (images, references))
    spectra = [torch.fft.rfft2(part).conj() for part in (originals, originals.flip(-1))]
    matches = []
    for i, row in enumerate(rows):
        spectrum = torch.fft.rfft2(row)
        maps = torch.stack([torch.fft.irfft2((spectrum * part).sum(1), s=size).flatten(1) for part in spectra], 1)
        best, place = maps.flatten(1).max(1)
        order = best.topk(min(2, len(best))).indices
        number = int(order[0])
        lead = float(best[order[0]] - best[order[-1]]) if len(order) > 1 else 1.0
        if float(best[number]) < MIN_CORRELATION or lead < MIN_LEAD:
            continue
        mirrored, offset = divmod(int(place[number]), size[0] * size[1])
        move = (bool(mirrored), *divmod(offset, size[1]))
        matches.append(MovedImage(number, move, images[i].detach().cpu().contiguous().numpy().tobytes()))
    return matches


def _find_cached_moves(case: Case, images: Sequence[MovedImage]) -> Iterator[Finding]:
    """Yield that every image which came again has the move that it had before."""
    first: dict[int, MovedImage] = {}
    pairs = [(first.setdefault(image.number, image), image) for image in images]
    repeated = [(earlier, image) for earlier, image in pairs if earlier is not image]
    probability = _compute_coincidence([image.move for image in first.values()])
    equal = sum(a.content == b.content for a, b in repeated)
    if equal < max(MIN_REPETITIONS, len(repeated)) or not _are_random([image.move for image in first.values()]):
        return
    if equal * math.log(probability) > math.log(MAX_CHANCE):
        return
    yield Finding(
        CACHED,
        "warning",
        {"images": len(first), "images that came again": len(repeated), "probability of one move": probability},
        Message(
            "the images are moved in {count} different ways, and each of the {repeated} recorded ones that came again "
            "was moved as before: the augmentation was drawn once, and the network sees one version of each image",
            count=len({image.move for image in first.values()}),
            repeated=len(repeated),
        ),
        Message(
            "cache what is read, and augment what comes out of the cache: in __getitem__ or in the loop, again in "
            "each epoch"
        ),
        source=case.sources.get("forward", ""),
    )


def _find_moves_of_evaluation(
    case: Case, images: Sequence[MovedImage], evaluated: Sequence[MovedImage]
) -> Iterator[Finding]:
    """Yield that images of training and of evaluation are both moved at random."""
    if min(len(images), len(evaluated)) < MIN_MATCHED_ROWS:
        return
    if not all(_are_random([image.move for image in part]) for part in (images, evaluated)):
        return
    is_redrawn = len({(image.number, image.move) for image in images}) > len({image.number for image in images})
    if not is_redrawn or len({image.number for image in evaluated}) < len(evaluated):  # several versions are averaged
        return
    yield Finding(
        EVALUATED,
        "warning",
        {"evaluated images": len(evaluated), "moves": len({image.move for image in evaluated})},
        Message(
            "{count} of the evaluated images are validation images that were moved or mirrored in {moves} ways, as "
            "those of training are: the score is that of augmented images, and changes at random",
            count=len(evaluated),
            moves=len({image.move for image in evaluated}),
        ),
        SEPARATE_DATASETS,
        source=case.sources.get("evaluation", ""),
    )


def _compute_coincidence(moves: Sequence[Move]) -> float:
    """Return the probability that two moves at random are the same, at most slightly below 1."""
    counts = Counter(moves)
    return min(sum((count / len(moves)) ** 2 for count in counts.values()), 1 - 1e-9) if moves else 1 - 1e-9


def _are_random(moves: Sequence[Move]) -> bool:
    """Return whether several moves occur, and none of them nearly always."""
    counts = Counter(moves)
    return len(counts) >= MIN_MOVES and max(counts.values()) <= MAX_COMMON_FRACTION * len(moves)


def _count_repetitions(rows: torch.Tensor) -> int:
    contents = Counter(row.tobytes() for row in rows.detach().cpu().contiguous().numpy())
    return sum(contents.values()) - len(contents)


def _is_pair_of_images(pair: Any) -> bool:
    is_pair = isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], torch.Tensor)
    return is_pair and pair[0].ndim == 4 and len(pair[0]) > 1 and pair[0].is_floating_point()


def _normalize(x: torch.Tensor) -> torch.Tensor:
    """Return images of mean 0 and norm 1."""
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / x.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
