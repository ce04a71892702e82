//! Parse, run, map to an exit code.

use clap::Parser;
use claviger::cli::{Cli, exit::Exit, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Exit {
    run(Cli::parse())
}
