"""Options of every command that tests runs against the first one."""

import dataclasses
from typing import TYPE_CHECKING

from jmmrec.errors import check_choice

if TYPE_CHECKING:
    from jmmrec.report.verdicts import HowTested


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdicts:
    """How runs are tested, and how that is shown."""

    over: str = "both"
    """What verdicts hold for: both other users and training again, users, or seeds."""
    method: str = "t"
    """Paired t-test, or wilcoxon (over users or over seeds)."""
    spread: str = "seeds"
    """What ± tells: Student-t over seeds, or bootstrap over users and seeds."""
    marks: str = "two"
    """Two levels, * p < 0.05 and ** p < 0.01, or as a paper prints: * better at p < 0.01."""

    def tests(self) -> "HowTested":
        """The options as `comparison_table` takes them.

        Raises:
          ConfigError: one that does not exist, or a Wilcoxon test over both users and seeds.

        >>> Verdicts(over="users").tests()["over"]
        'users'
        """
        from jmmrec.report.comparison import SPREADS
        from jmmrec.report.verdicts import MARKS, check_tests

        check_tests(self.over, self.method)
        check_choice("spread", self.spread, SPREADS)
        check_choice("marks", self.marks, MARKS)
        return {"over": self.over, "method": self.method, "spread": self.spread, "marks": self.marks}
