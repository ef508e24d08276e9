"""`python -m probes` is `probes`."""

from probes.cli import main

main()
