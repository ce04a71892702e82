//! Decision records, spans and logs.
