"""`save`: any `Dataset` to MMRec's folder layout, with id maps."""

import re
from pathlib import Path

import numpy as np

from jmmrec.data.dataset import SPLITS, Dataset, Modality
from jmmrec.data.files import folder_aside, listing, naming
from jmmrec.errors import DataError

OURS = re.compile(r".+\.inter|(users|items)\.tsv|.+_(feat|missing|imputed|knn_idx|knn_cos)\.npy")


def save(dataset: Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a data set as a folder in MMRec's layout; `load(save(d, path))` has the same digest and original ids.

    Files: `<name>.inter` (userID, itemID, x_label); `users.tsv` and `items.tsv` (number, original id; the heading
    `original_id:token` marks ids that are text); for each modality `<modality>_feat.npy` float32 and, where it has
    them, `<modality>_missing.npy` (bool, True = missing; the feature row holds zeros), `_imputed.npy` (bool),
    `_knn_idx.npy`, `_knn_cos.npy`.
    Everything is written to a folder beside `path` that takes its place at the end, so no half data set ever stands
    there.

    Args:
      dataset: what to write.
      path: folder to make.
      overwrite: replace a folder that holds nothing but such files.

    Returns:
      The folder.

    Raises:
      DataError: the folder exists, an id or name that no file can hold, permission denied, disk full.

    >>> import tempfile
    >>> from jmmrec.data import load
    >>> demo = load("synthetic")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(demo, folder + "/demo")).digest == demo.digest
    True
    """
    path = Path(path)
    _check_free(path, overwrite)
    for name in dataset.modalities:
        if not re.fullmatch(r"[^/\\\0.][^/\\\0]*", name):
            raise DataError(f"modality {name!r} cannot be part of a file name; rename it without / or a leading dot.")
    lists = {side: _id_list(side, ids) for side, ids in (("user", dataset.user_ids), ("item", dataset.item_ids))}
    with folder_aside(path) as aside:
        stem = re.sub(r"[^\w.-]+", "_", dataset.name).lstrip(".") or "unnamed"
        (aside / f"{stem}.inter").write_text(_inter(dataset), encoding="utf-8")
        for side, text in lists.items():
            (aside / f"{side}s.tsv").write_text(text, encoding="utf-8", newline="\n")
        for name, modality in dataset.modalities.items():
            _save_modality(aside, name, modality)
    return path


def _check_free(path: Path, overwrite: bool) -> None:
    with naming(path, "write"):
        if not path.exists():
            return
        if path.resolve() in (here := Path.cwd(), *here.parents):  # which it would take the place of
            raise DataError(f"{path} is the working directory, or holds it; name a new folder.")
        if not path.is_dir():
            raise DataError(f"{path} is a file; give the name of a folder to make.")
        strange = [p.name for p in path.iterdir() if not (p.is_file() and OURS.fullmatch(p.name))]
        if listing(path) and not overwrite:
            raise DataError(f"{path} already exists; choose another folder or pass overwrite=True (--overwrite).")
    if strange:
        # Replacing removes the old folder: never somebody's other work.
        raise DataError(f"{path} holds {min(strange)!r}, which is not part of a data set; choose another folder.")


def _inter(dataset: Dataset) -> str:
    lines = ["userID\titemID\tx_label"]
    for label, split in enumerate(SPLITS):
        lines += [f"{user}\t{item}\t{label}" for user, item in getattr(dataset, split).tolist()]
    return "\n".join(lines) + "\n"


def _id_list(side: str, ids: np.ndarray) -> str:
    head = "original_id" if ids.dtype.kind in "iu" else "original_id:token"
    names = ids.astype(str).tolist()
    for number, name in enumerate(names):
        if re.search(r"[\t\n\r]", name):
            raise DataError(f"{side} {number} has id {name!r} with a tab or line break in it; rename it.")
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a {side} id holds a character that UTF-8 cannot write ({error.reason}); rename it."
        ) from error
    return "\n".join([f"{side}ID\t{head}", *(f"{number}\t{name}" for number, name in enumerate(names))]) + "\n"


def _save_modality(folder: Path, name: str, modality: Modality) -> None:
    np.save(folder / f"{name}_feat.npy", modality.features)
    if not modality.present.all():
        np.save(folder / f"{name}_missing.npy", ~modality.present)
    others = {"imputed": modality.imputed, "knn_idx": modality.neighbours, "knn_cos": modality.similarities}
    for suffix, array in others.items():
        if array is not None:
            np.save(folder / f"{name}_{suffix}.npy", array)
