"""Every target by its name."""

from tests.fuzz import catalogue, commands, core, pages, requests, settings, spartoo_xml

_MODULES = (spartoo_xml, commands, catalogue, settings, pages, core, requests)
TARGETS = {module.TARGET.name: module.TARGET for module in _MODULES}
