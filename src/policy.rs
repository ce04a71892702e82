//! The policy engine: pure. It reads texts and facts, and answers; no runtime, no clock, no file system.
//!
//! ```text
//! files → limits → schema, parse → validate → supply → slice → guards → Engine
//! ```

mod cases;
mod clause;
mod compiled;
mod cores;
mod coverage;
mod decide;
mod declaration;
mod diagnostic;
mod engine;
mod entities;
mod explain;
mod files;
mod format;
mod guards;
mod invariants;
mod limits;
mod lint;
mod load;
mod management;
pub mod matrix;
mod mutant;
mod replay;
mod sample;
mod schema;
mod shipped;
mod situation;
mod size;
mod slice;
mod supply;
#[cfg(test)]
mod tests;

pub use cases::{Asked, Case, CaseResult, CedarRequest, Expected, Missing, Outcome, SUITE_SCHEMA, Suite, suggestion};
pub use clause::{Anatomy, Piece, PieceKind, Truth};
pub use cores::{CASE_STACK, on_every_core};
pub use coverage::{Coverage, Gap, Percent, PolicyCoverage, Seen, Share};
pub use decide::Question;
pub use diagnostic::{Diagnostic, LoadError};
pub use engine::{Effect, Engine, PermissionInfo, PolicyInfo, Preset, Settings};
pub use entities::Principal;
pub use explain::{ExplainedPart, ExplainedPolicy, Explanation, NearMiss, WhatIf, Why};
pub use files::{PolicyFiles, SourceFile, SourceKind};
pub use format::format;
pub use invariants::{Invariants, Statement};
pub use limits::MOST_BYTES;
pub use lint::lint;
pub use management::{Action as ManagementAction, Target};
pub use mutant::{Change, Hunt, Mutant};
pub use shipped::{SHIPPED, shipped};
