"""Item texts improved by a language model: items, whom to ask, answers kept as they come, features made anew."""

from jmmrec.augment.ask import Answers, Endpoint
from jmmrec.augment.items import PROMPT, Item, read_items
from jmmrec.augment.texts import Augmented, augment, encode, in_order

__all__ = ["PROMPT", "Answers", "Augmented", "Endpoint", "Item", "augment", "encode", "in_order", "read_items"]
