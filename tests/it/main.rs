//! The one integration-test binary: claims about the product, made from outside.
// Clippy lets test modules unwrap when it sees that they are: `cfg(test)` on each.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod house;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod process;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod telemetry;
