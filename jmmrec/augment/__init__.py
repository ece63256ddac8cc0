"""Item texts improved by a language model: items, whom to ask, answers kept as they come, features made anew."""

from jmmrec.augment.ask import Answers, Endpoint
from jmmrec.augment.items import PROMPT, Item, read_items
from jmmrec.augment.texts import Augmented, augment, encode

__all__ = ["PROMPT", "Answers", "Augmented", "Endpoint", "Item", "augment", "encode", "read_items"]
