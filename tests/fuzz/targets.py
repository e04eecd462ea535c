"""Every target by its name."""

from tests.fuzz import catalogue, commands, settings, spartoo_xml

_MODULES = (spartoo_xml, commands, catalogue, settings)
TARGETS = {module.TARGET.name: module.TARGET for module in _MODULES}
