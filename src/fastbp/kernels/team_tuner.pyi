from typing_extensions import disjoint_base

@disjoint_base
class TeamTuner:
    trial_seconds: float
    decision_seconds: float
    longest_decision: float

    def note_step(self, begin: float, end: float) -> None: ...
    @property
    def alone(self) -> bool: ...
