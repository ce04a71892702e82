//! The one integration-test binary: claims about the product, made from outside.

#[cfg(test)]
mod policy;
