//! Fuzz target: see the function that it calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| starling_media::sdp::fuzz::fuzz_answer(data));
