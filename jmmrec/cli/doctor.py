"""`jmmrec doctor`."""

import os

from jmmrec.cli import options


def run(argv: list[str]) -> int:
    """Prints what was found; 0 unless something is broken, then 1.

    Raises:
      ConfigError: an option was given; there is none.
    """
    options.parse(options.Nothing, argv, "jmmrec doctor", "Looks at this installation.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from jmmrec.doctor import examine
    from jmmrec.report import Table

    findings = examine()
    options.show(Table("", ("", "found", "verdict"), tuple(tuple(finding) for finding in findings)))
    broken = [finding.name for finding in findings if finding.verdict == "broken"]
    options.show(f"Broken: {', '.join(broken)}." if broken else "Nothing is broken.")
    return int(bool(broken))
