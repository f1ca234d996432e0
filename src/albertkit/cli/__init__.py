"""The ``albertkit`` command: one file per subcommand, each parsing its words and calling one function."""
