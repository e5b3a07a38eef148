//! Replays the corpus of every fuzz target: whatever a fuzzer has found once stays harmless.

use std::path::{Path, PathBuf};

/// Takes one input, whatever it is.
type Target = fn(&[u8]);

/// Fuzz targets by the name of their folder in `media/fuzz/corpus`.
const TARGETS: [(&str, Target); 8] = [
    ("offer", starling_media::sdp::fuzz::fuzz_offer),
    ("answer", starling_media::sdp::fuzz::fuzz_answer),
    ("rtp", starling_media::packet::fuzz::fuzz_rtp),
    ("rtcp", starling_media::packet::fuzz::fuzz_rtcp),
    ("payload", starling_media::packet::fuzz::fuzz_payload),
    ("frame", starling_protocol::fuzz::frames),
    ("join_request", starling_protocol::fuzz::join_request),
    ("token", starling_protocol::fuzz::tokens),
];
/// Byte flips of every file, so that a replay says more than the file alone.
const FLIPS: usize = 64;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("media/fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("folder").flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(names(&root().join("corpus")), targets);
    let files: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&root().join("fuzz_targets")), files);
}

#[test]
fn no_file_of_a_corpus_makes_its_target_panic() {
    for (target, run) in TARGETS {
        let folder = root().join("corpus").join(target);
        let files = names(&folder);
        assert!(files.len() >= 10, "{target} has {} files", files.len());
        for file in files {
            let bytes = std::fs::read(folder.join(&file)).expect("file");
            println!("{target}/{file}");
            run(&bytes);
        }
    }
}

#[test]
fn a_flipped_byte_or_a_missing_end_makes_no_target_panic() {
    for (target, run) in TARGETS {
        let folder = root().join("corpus").join(target);
        for file in names(&folder) {
            let bytes = std::fs::read(folder.join(&file)).expect("file");
            for flip in 0..FLIPS.min(bytes.len()) {
                println!("{target}/{file} {flip}");
                let mut changed = bytes.clone();
                let at = flip * bytes.len() / FLIPS.min(bytes.len());
                changed[at] ^= 0x55_u8.rotate_left(flip as u32);
                run(&changed);
                run(&bytes[..at]);
            }
        }
    }
}
