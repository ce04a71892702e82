//! The HTTP API: the route list and its layers.
