"""`jmmrec models`."""

import inspect

from jmmrec.cli import options


def run(argv: list[str]) -> int:
    """Prints every model's name and the first line of its file, which names its source.

    Raises:
      ConfigError: an option was given; there is none.
    """
    options.parse(options.Nothing, argv, "jmmrec models", "What can be trained.")
    from jmmrec.models import MODELS

    for name, cls in MODELS.items():
        about = inspect.getdoc(inspect.getmodule(cls)) or name
        print(f"{name:<10} {about.splitlines()[0]}")
    print("Each with virtual triplets: --warmup static|dynamic|hybrid. Options: jmmrec train MODEL --help.")
    return 0
