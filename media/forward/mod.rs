//! Who gets what: layers by preference and bandwidth, who speaks, how well it goes. Pure arithmetic over the worker's
//! tables; nothing here runs per packet but [`speaker::SpeakerMeter::observe`].

pub mod allocation;
pub mod layer;
pub mod quality;
pub mod speaker;
