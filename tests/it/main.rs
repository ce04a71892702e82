//! The one integration-test binary: claims about the product, made from outside.
#![cfg(test)] // makes what supports tests test code too, so that it may unwrap

mod routes;
mod store;
mod support;
mod telemetry;
