//! Stories of real processes on loopback: nodes find each other, are refused, die and come back.
//!
//! Each node is this very executable, started with a setting in its environment; it prints its views as lines of JSON,
//! takes orders by lines on its stdin and ends when that closes. Times are printed, not judged.
#![expect(clippy::print_stdout, reason = "nodes speak through stdout, and stories print what they measured")]

mod child;
mod counters;
mod node;
mod stories;
