//! The settings: a file, then the environment, then flags.
