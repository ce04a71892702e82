//! The policy engine: pure. It reads texts and facts, and answers; no runtime, no clock, no file system.
