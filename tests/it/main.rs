//! The one integration-test binary: claims about the product, made from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a claim that does not hold fails on the spot; the exemption in clippy.toml covers test functions, not what they call"
)]

mod store;
mod support;
