"""The networks, one system a file; `registry` builds them by name. What needs no torch imports none."""
