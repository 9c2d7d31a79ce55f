"""``python -m assistant.cli``, where the ``phichat`` script is not installed."""

from assistant.cli.root_command import main

main()
