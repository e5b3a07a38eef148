//! Keeps the dependency arrows, the purity of cores and the shape of files: rules of ARCHITECTURE.md as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names in a manifest's `[dependencies]` table.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("manifest");
    let table = text.split("\n[").find(|table| table.starts_with("dependencies]")).unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folder").map(|entry| entry.expect("entry").path()) {
            let name = entry.file_name().expect("name of an entry").to_string_lossy().into_owned();
            if entry.is_dir() && name != "target" && name != "node_modules" {
                folders.push(entry);
            } else if name.ends_with(".rs") {
                files.push(entry);
            }
        }
    }
    files.sort();
    files
}

const CRATE_FOLDERS: [&str; 6] = ["protocol", "cluster", "media", "actors", "src", "chaos"];

#[test]
fn our_crates_depend_along_the_arrows_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("protocol/Cargo.toml", &[][..]),
        ("cluster/Cargo.toml", &["starling-protocol"]),
        ("media/Cargo.toml", &["starling-protocol"]),
        ("actors/Cargo.toml", &["starling-protocol", "starling-cluster", "starling-media"]),
        ("Cargo.toml", &["starling-protocol", "starling-cluster", "starling-media", "starling-actors"]),
    ]);
    for (manifest, allowed) in allowed {
        let ours = dependencies(manifest).into_iter().filter(|name| name.starts_with("starling"));
        for name in ours {
            assert!(allowed.contains(&name.as_str()), "{manifest} must not depend on {name}");
        }
    }
}

#[test]
fn third_party_fences_hold() {
    let fences: [(&str, &[&str]); 6] = [
        ("rtc-", &["media/Cargo.toml"]),
        ("axum", &["Cargo.toml"]),
        ("ractor", &["actors/Cargo.toml", "cluster/Cargo.toml", "Cargo.toml"]),
        ("ractor_cluster", &["cluster/Cargo.toml"]),
        ("foca", &["cluster/Cargo.toml"]),
        ("chitchat", &["cluster/Cargo.toml"]),
    ];
    let manifests = ["protocol", "cluster", "media", "actors"].map(|folder| format!("{folder}/Cargo.toml"));
    for manifest in manifests.iter().map(String::as_str).chain(["Cargo.toml"]) {
        for name in dependencies(manifest) {
            for (prefix, allowed) in fences {
                assert!(
                    !name.starts_with(prefix) || allowed.contains(&manifest),
                    "{name} belongs to {allowed:?}, not to {manifest}"
                );
            }
        }
    }
}

#[test]
fn cores_touch_no_socket_clock_file_or_task() {
    let pure: Vec<PathBuf> =
        ["media/packet", "media/ingress", "media/forward", "media/egress", "media/bwe", "media/sdp"]
            .iter()
            .chain(&["media/transport", "media/worker/core", "protocol"])
            .chain(&["cluster/membership", "cluster/roster", "cluster/seal", "actors/placement/core"])
            .flat_map(|folder| rust_files(folder))
            .chain(
                rust_files("actors")
                    .into_iter()
                    .filter(|file| file.ends_with("state.rs"))
                    .chain(rust_files("cluster").into_iter().filter(|file| file.ends_with("state.rs"))),
            )
            .collect();
    assert!(pure.len() > 40, "the list of pure folders has lost its files: {}", pure.len());
    let banned = [
        "tokio::net",
        "tokio::spawn",
        "tokio::time",
        "std::fs",
        "UdpSocket",
        "TcpStream",
        "Instant::now()",
        "SystemTime::now()",
    ];
    for file in pure {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = file.components().any(|part| part.as_os_str().to_string_lossy().contains("test"));
        for word in banned.iter().filter(|_| !is_test) {
            assert!(!code.contains(word), "{} is pure and must not use {word}", file.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in CRATE_FOLDERS {
        for file in rust_files(folder) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} does not begin with //!", file.display());
        }
    }
}

#[test]
fn every_actor_has_the_same_four_files() {
    let actors = root().join("actors");
    let mut seen = 0;
    for folder in fs::read_dir(actors).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        if !folder.join("actor.rs").exists() {
            continue;
        }
        seen += 1;
        for file in ["mod.rs", "message.rs", "state.rs", "actor.rs"] {
            assert!(Path::new(&folder).join(file).exists(), "{} lacks {file}", folder.display());
        }
    }
    assert!(seen >= 3, "room, participant and supervisor are actors; found {seen}");
}
