from typing_extensions import disjoint_base

@disjoint_base
class TeamTuner:
    first_seconds: float
    trial_share: float
    pause: float
    longest_pause: float

    def note_step(self, begin: float, end: float) -> None: ...
    @property
    def alone(self) -> bool: ...
