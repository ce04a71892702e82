//! Work that parts: many cases, many mutants.

use std::{io, num::NonZero, panic::resume_unwind, thread};

/// Bytes of stack for running cases: policies that no guard has seen may be as deep as the main thread could take.
pub const CASE_STACK: usize = 8 * 1024 * 1024;

/// Does a share of the work on every core, on threads with so many bytes of stack. The results are in the order of the items.
///
/// # Errors
/// When there is no memory for a thread.
pub fn on_every_core<T: Sync, R: Send>(stack: usize, items: &[T], work: impl Fn(&[T]) -> R + Sync) -> io::Result<Vec<R>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let mut running = Vec::new();
        for share in items.chunks(items.len().div_ceil(threads).max(1)) {
            let work = &work;
            running.push(thread::Builder::new().stack_size(stack).spawn_scoped(scope, move || work(share))?);
        }
        Ok(running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect())
    })
}
