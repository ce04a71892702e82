//! The one integration-test binary: claims about the product, made from outside.

#[cfg(test)] // makes helpers test code too, so that they may unwrap
mod telemetry;
