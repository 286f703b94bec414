"""The safety stage as pure logic: limits of a robot, the limiter, the stage around it, the filter for messages."""

from lrm_core.safety.box import Box
from lrm_core.safety.causes import Cause
from lrm_core.safety.filter import Decision, JointPositions, SafetyFilter, Verdict
from lrm_core.safety.limiter import Limiter
from lrm_core.safety.limits import SafetyLimits
from lrm_core.safety.slow_line import SlowLine
from lrm_core.safety.stage import Inputs, Outcome, SafetyStage, StageOptions

__all__ = [
    "Box", "Cause", "Decision", "Inputs", "JointPositions", "Limiter", "Outcome", "SafetyFilter", "SafetyLimits",
    "SafetyStage", "SlowLine", "StageOptions", "Verdict",
]  # fmt: skip
