"""What a report warns of: findings, and the table of the rules that find them."""

from dataclasses import dataclass

from fastbp.inspection.reports.rules import data, network, outcome, training

#: How urgent a finding is
PROBLEM, HINT = "problem", "hint"


@dataclass(frozen=True)
class Finding:
    """Something that a report warns of.

    Parameters
    ----------
    code : str
        Its name, such as 'vanishing-gradient'.
    title : str
        In a few words.
    message : str
        What was seen, with the numbers.
    advice : tuple of str
        What to try, the most promising first.
    severity : {'problem', 'hint'}
        A problem makes the model worse than it could be; a hint may be intended.
    """

    code: str
    title: str
    message: str
    advice: tuple[str, ...] = ()
    severity: str = HINT

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.title} [{self.code}]", f"  {self.message}"]
        return "\n".join([*lines, *(f"  - {advice}" for advice in self.advice)])


#: Code, severity and rule. A rule is given the evidence, and returns None or (title, message, advice). The order is
#: that of the report: what makes others happen comes first.
RULES = {
    "not-finite": (PROBLEM, outcome.not_finite),
    "diverged": (PROBLEM, training.diverged),
    "exploding-gradient": (PROBLEM, network.exploding_gradient),
    "vanishing-gradient": (PROBLEM, network.vanishing_gradient),
    "no-better-than-constant": (PROBLEM, outcome.no_better_than_constant),
    "unscaled-input": (PROBLEM, data.unscaled_input),
    "unscaled-target": (PROBLEM, data.unscaled_target),
    "learning-rate-too-large": (PROBLEM, training.learning_rate_too_large),
    "learning-rate-too-small": (PROBLEM, training.learning_rate_too_small),
    "not-converged": (HINT, training.not_converged),
    "overfitting": (PROBLEM, training.overfitting),
    "validation-loss-rises": (HINT, training.validation_loss_rises),
    "dead-units": (PROBLEM, network.dead_units),
    "saturated-units": (PROBLEM, network.saturated_units),
    "class-never-predicted": (PROBLEM, outcome.class_never_predicted),
    "class-imbalance": (HINT, data.class_imbalance),
    "miscalibrated": (HINT, outcome.miscalibrated),
    "intervals-off": (HINT, outcome.intervals_off),
    "few-rows": (HINT, data.few_rows),
    "constant-columns": (HINT, data.constant_columns),
}


def findings_of(evidence):
    """The findings of all rules: list of Finding, problems first."""
    found = []
    for code, (severity, rule) in RULES.items():
        result = rule(evidence)
        if result is not None:
            title, message, advice = result
            found.append(Finding(code, title, message, tuple(advice), severity))
    return sorted(found, key=lambda one: one.severity != PROBLEM)
