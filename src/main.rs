//! Parse, run, map to an exit code.

use clap::Parser;
use claviger::cli::{Cli, exit::Exit, run};

fn main() -> Exit {
    run(Cli::parse())
}
