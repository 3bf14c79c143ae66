"""How every program behaves: commands, options, configuration, progress."""
