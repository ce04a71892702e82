//! `claviger __cvc5`: the solver's process, where only its shared libraries are there. `policy prove` starts it.

use std::{
    ffi::OsString,
    io::{stdin, stdout},
};

use clap::Args;

use super::{exit::Exit, failure::Failure};
use crate::prove;

#[derive(Debug, Args)]
pub(super) struct StandInArgs {
    /// The folder of the libraries
    directory: OsString,
    /// Options of cvc5, as `--name=value`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(super) fn run(args: &StandInArgs) -> Result<Exit, Failure> {
    prove::stand_in(&args.directory, &args.options, &mut stdin().lock(), &mut stdout().lock()).map_err(Failure::failed)?;
    Ok(Exit::Ok)
}
