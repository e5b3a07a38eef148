//! Two links in memory.
