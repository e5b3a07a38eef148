//! Stories of links that are wanted, made, lost and replaced.
