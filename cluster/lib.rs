//! Who is alive. Knows nodes; has never heard of rooms, media or browsers.

pub mod member;
