"""Every scenario by its name."""

from collections.abc import Mapping

from exporter.sim.living import scenarios
from exporter.sim.living.mode_story import Modes
from exporter.sim.living.scenarios import Scenario

SCENARIOS: Mapping[str, type[Scenario]] = {**scenarios.SCENARIOS, "modes": Modes}
