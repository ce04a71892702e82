//! Randomness as an argument.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng, SeedableRng, TryRng, rngs::StdRng};

/// Where random bytes come from: the operating system, or a seed in a test.
#[derive(Debug, Clone, Default)]
pub enum Random {
    #[default]
    System,
    /// Reproducible; only for tests.
    Seeded(Arc<Mutex<StdRng>>),
}

/// The operating system gave no random bytes: nothing secret may be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator does not answer")]
pub struct NoRandomness;

impl Random {
    /// A reproducible source.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Bytes for secrets, straight from the operating system.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn fill_secret(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        match self {
            Self::System => rand::rngs::SysRng.try_fill_bytes(bytes).map_err(|_| NoRandomness),
            Self::Seeded(rng) => {
                rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
                Ok(())
            }
        }
    }

    /// Bytes for ids and trace ids: unpredictable, but without a system call each.
    pub fn fill(&self, bytes: &mut [u8]) {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that takes the thread's generator")]
            Self::System => rand::rng().fill_bytes(bytes),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes),
        }
    }
}
