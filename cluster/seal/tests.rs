//! What sealing promises.
