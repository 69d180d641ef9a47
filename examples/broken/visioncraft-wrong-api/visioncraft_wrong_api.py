"""Was made for a plugin API that is not this one."""

raise SystemExit("an incompatible plugin is never imported")
