"""Order and weights of modalities by name: the visual one first; given weights, or one for it and equal others."""

from collections.abc import Iterable, Mapping, Sequence

from jmmrec.errors import ConfigError, check_range

VISUAL = ("image", "visual", "v")


def visual_first(names: Iterable[str]) -> list[str]:
    """The visual modality, then the others by name.

    >>> visual_first(("text", "audio", "image"))
    ['image', 'audio', 'text']
    """
    return sorted(names, key=lambda name: (name not in VISUAL, name))


def weights_by_name(
    given: Mapping[str, float] | Sequence[tuple[str, float]], positive: bool = False
) -> tuple[tuple[str, float], ...]:
    """A mapping or pairs as pairs, which can be hashed.

    Raises:
      ConfigError: something else, a weight below 0, or 0 where it has to be `positive`.

    >>> weights_by_name({"image": 0.1, "text": 0.9})
    (('image', 0.1), ('text', 0.9))
    """
    try:
        pairs = tuple((name, weight) for name, weight in (given.items() if isinstance(given, Mapping) else given))
    except (TypeError, ValueError):
        raise ConfigError(f"modal_weights is {given!r}; give a weight for each name, such as image 0.1.") from None
    for name, weight in pairs:
        check_range(f"modal_weights of {name}", weight, 0, float("inf"), open_low=positive)
    return pairs


def modality_weights(
    names: tuple[str, ...], given: tuple[tuple[str, float], ...], visual_weight: float
) -> dict[str, float]:
    """Weight of each modality's item graph.

    The given ones, or: `visual_weight` for the visual modality and the rest split equally among the others
    (all of it for a lone modality, equal shares where none is visual).

    Raises:
      ConfigError: a given name that the data set lacks, or one of its modalities without a weight.

    >>> modality_weights(("image", "text", "audio"), (), 0.1)
    {'image': 0.1, 'text': 0.45, 'audio': 0.45}
    """
    if given:
        weights = dict(given)
        if set(weights) != set(names):
            raise ConfigError(
                f"modal_weights names {', '.join(sorted(weights))} but the data set has {', '.join(sorted(names))}; "
                "give one weight for each modality."
            )
        return weights
    visual = [n for n in names if n in VISUAL]
    if len(visual) != 1 or len(names) == 1:
        return dict.fromkeys(names, 1.0 / len(names))
    return {n: visual_weight if n in visual else (1.0 - visual_weight) / (len(names) - 1) for n in names}
