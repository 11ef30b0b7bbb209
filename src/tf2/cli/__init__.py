"""The command line: one file a subcommand, each a call into `tf2.flow`."""
