//! Who this node is over its lives: node id, rising boot id and the last known members, in small files of the data
//! directory. A shell: files and a lock, nothing else.

use crate::limits::{MEMBERS_SAVED_MAX, STATE_FILE_BYTES_MAX};
use crate::member::{BootId, MemberId, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const NODE_FILE: &str = "node.json";
const MEMBERS_FILE: &str = "members.json";
const LOCK_FILE: &str = "node.lock";
const FILE_VERSION: u32 = 1;
/// Boot ids beyond this (the year 5138) come from a broken clock or file and leave no room to rise.
const BOOT_ID_MAX: u64 = 100_000_000_000_000;

/// State cannot be read or written. A broken file is never replaced silently: the node would become another one.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system refused.
    #[error("{} cannot be {action}: {error}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error("data directory {} is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} is corrupt: {why}; restore it, or remove it to start anew", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The data directory belongs to another node.
    #[error("{} belongs to node {saved}, not to {wanted}: use another data directory or that node id", path.display())]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        saved: NodeId,
        /// Who was wanted.
        wanted: NodeId,
    },
    /// The wanted node id is none.
    #[error(transparent)]
    NotANodeId(#[from] starling_protocol::id::NotANodeId),
    /// The clock is so far in the future that boot ids could not rise.
    #[error("the clock says {now_ms} ms since 1970, which is not believed")]
    Clock {
        /// What it says.
        now_ms: u64,
    },
}

/// Who this node is in this life. While it is held, no other process can use its data directory.
#[derive(Debug)]
pub struct Identity {
    /// The node.
    pub node_id: NodeId,
    /// This life of it.
    pub boot_id: BootId,
    _lock: Option<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NodeState {
    version: u32,
    node_id: NodeId,
    boot_id: BootId,
}

impl Identity {
    /// Begins a life: later than every earlier one that the data directory knows of, and saved there before this
    /// returns. Without a data directory nothing is kept. `now_ms`: milliseconds since the epoch.
    ///
    /// # Errors
    /// Names the file.
    pub fn load(data_dir: Option<&Path>, wanted_node_id: Option<&str>, now_ms: u64) -> Result<Self, IdentityError> {
        let wanted = wanted_node_id.map(|text| NodeId::try_from(text.to_owned())).transpose()?;
        if now_ms > BOOT_ID_MAX {
            return Err(IdentityError::Clock { now_ms });
        }
        let Some(folder) = data_dir else {
            return Ok(Self { node_id: named(wanted), boot_id: BootId::after(None, now_ms), _lock: None });
        };
        fs::create_dir_all(folder).map_err(io(folder, "made"))?;
        let lock = lock(folder)?;
        let path = folder.join(NODE_FILE);
        let saved = read::<NodeState>(&path)?.map(|state| check_node(state, &path)).transpose()?;
        let boot_id = BootId::after(saved.as_ref().map(|saved| saved.boot_id), now_ms);
        let node_id = match (saved, wanted) {
            (Some(saved), Some(wanted)) if saved.node_id != wanted => {
                return Err(IdentityError::OtherNode { path, saved: saved.node_id, wanted });
            }
            (Some(saved), _) => saved.node_id,
            (None, wanted) => named(wanted),
        };
        write(&path, &NodeState { version: FILE_VERSION, node_id: node_id.clone(), boot_id })?;
        Ok(Self { node_id, boot_id, _lock: Some(lock) })
    }

    /// This life of this node.
    #[must_use]
    pub fn member(&self) -> MemberId {
        MemberId { node_id: self.node_id.clone(), boot_id: self.boot_id }
    }
}

fn named(wanted: Option<NodeId>) -> NodeId {
    wanted.unwrap_or_else(|| NodeId::random(&mut rand::rng()))
}

fn check_node(state: NodeState, path: &Path) -> Result<NodeState, IdentityError> {
    check_version(state.version, path)?;
    if state.boot_id.number() > BOOT_ID_MAX {
        return Err(corrupt(path, format!("boot id {} is out of range", state.boot_id.number())));
    }
    Ok(state)
}

/// The operating system gives the lock back when its holder ends, however it ends.
fn lock(folder: &Path) -> Result<File, IdentityError> {
    let path = folder.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(&path).map_err(io(&path, "opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IdentityError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(&path, "locked")(error)),
    }
}

/// A member as the next start will look for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMember {
    /// The node.
    pub node_id: NodeId,
    /// Where its cluster port was.
    pub address: SocketAddr,
}

/// The last known members, so that a node finds its cluster with all seeds dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedMembers {
    /// At most [`MEMBERS_SAVED_MAX`].
    pub members: Vec<SavedMember>,
}

#[derive(Debug, Serialize, Deserialize)]
struct MembersState {
    version: u32,
    members: Vec<SavedMember>,
}

impl SavedMembers {
    /// The saved members; none when nothing was saved.
    ///
    /// # Errors
    /// Names the file when it cannot be read. The caller may go on with its seeds alone.
    pub fn load(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(MEMBERS_FILE);
        let Some(state) = read::<MembersState>(&path)? else { return Ok(Self::default()) };
        check_version(state.version, &path)?;
        if state.members.len() > MEMBERS_SAVED_MAX {
            return Err(corrupt(&path, format!("{} members, at most {MEMBERS_SAVED_MAX}", state.members.len())));
        }
        Ok(Self { members: state.members })
    }

    /// Saves the first [`MEMBERS_SAVED_MAX`] members: put the living first.
    ///
    /// # Errors
    /// Names the file.
    pub fn save(&self, data_dir: &Path) -> Result<(), IdentityError> {
        let members = self.members.iter().take(MEMBERS_SAVED_MAX).cloned().collect();
        write(&data_dir.join(MEMBERS_FILE), &MembersState { version: FILE_VERSION, members })
    }
}

fn check_version(version: u32, path: &Path) -> Result<(), IdentityError> {
    if version == FILE_VERSION { Ok(()) } else { Err(corrupt(path, format!("version {version} is not known"))) }
}

fn corrupt(path: &Path, why: String) -> IdentityError {
    IdentityError::Corrupt { path: path.to_owned(), why }
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> IdentityError {
    let path = path.to_owned();
    move |error| IdentityError::Io { path, action, error }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, IdentityError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "read")(error)),
    };
    let mut bytes = Vec::new();
    file.take(STATE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io(path, "read"))?;
    if bytes.len() as u64 > STATE_FILE_BYTES_MAX {
        return Err(corrupt(path, format!("more than {STATE_FILE_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| corrupt(path, error.to_string()))
}

/// Writes the whole file or nothing: a crash at any moment leaves the old or the new one.
fn write<T: Serialize>(path: &Path, state: &T) -> Result<(), IdentityError> {
    let bytes = serde_json::to_vec(state).map_err(|error| corrupt(path, error.to_string()))?;
    let draft = path.with_extension("json.draft");
    let mut file = File::create(&draft).map_err(io(&draft, "made"))?;
    file.write_all(&bytes).map_err(io(&draft, "written"))?;
    file.sync_all().map_err(io(&draft, "synced"))?;
    fs::rename(&draft, path).map_err(io(path, "replaced"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder, "synced"))
}

/// An empty folder for one test, to be removed by it.
#[cfg(test)]
pub(crate) fn scratch_folder(name: &str) -> PathBuf {
    let unique = format!("starling-{name}-{}-{:016x}", std::process::id(), rand::random::<u64>());
    let folder = std::env::temp_dir().join(unique);
    fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn load(folder: &Path, now_ms: u64) -> Result<Identity, IdentityError> {
        Identity::load(Some(folder), None, now_ms)
    }

    #[test]
    fn the_node_stays_and_its_lives_rise_even_when_the_clock_goes_back() {
        let folder = scratch_folder("identity");
        let first = load(&folder, NOW).unwrap().member();
        let second = load(&folder, NOW - 5_000).unwrap().member();
        let third = load(&folder, NOW + 5_000).unwrap().member();
        assert_eq!(first.node_id, second.node_id);
        assert_eq!(first.node_id, third.node_id);
        let boots = [first, second, third].map(|member| member.boot_id.number());
        assert_eq!(boots, [NOW, NOW + 1, NOW + 5_000]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn without_a_data_directory_nothing_is_kept() {
        let named = Identity::load(None, Some("ND_a"), NOW).unwrap();
        assert_eq!(named.member().to_string(), format!("ND_a@{NOW}"));
        let first = Identity::load(None, None, NOW).unwrap();
        assert_ne!(first.node_id, Identity::load(None, None, NOW).unwrap().node_id);
        assert!(Identity::load(None, Some("a b"), NOW).unwrap_err().to_string().contains("a b"));
    }

    #[test]
    fn a_wanted_name_is_saved_and_another_one_is_refused() {
        let folder = scratch_folder("wanted").join("made/on/demand");
        drop(Identity::load(Some(&folder), Some("ND_a"), NOW).unwrap());
        assert_eq!(load(&folder, NOW).unwrap().node_id.as_str(), "ND_a");
        let error = Identity::load(Some(&folder), Some("ND_b"), NOW).unwrap_err().to_string();
        assert!(error.contains("node.json belongs to node ND_a, not to ND_b"), "{error}");
        assert_eq!(load(&folder, NOW).unwrap().node_id.as_str(), "ND_a");
        fs::remove_dir_all(folder.ancestors().nth(3).unwrap()).unwrap();
    }

    #[test]
    fn a_corrupt_file_is_named_and_left_as_it_is() {
        let folder = scratch_folder("corrupt");
        drop(load(&folder, NOW).unwrap());
        let (node, members) = (folder.join(NODE_FILE), folder.join(MEMBERS_FILE));
        let long = format!("{{\"version\":1,\"node_id\":\"{}\",\"boot_id\":1}}", "a".repeat(70_000));
        let cases = [
            "",
            "{",
            "[]",
            "{\"version\":2,\"node_id\":\"ND_a\",\"boot_id\":1}",
            "{\"version\":1,\"node_id\":\"a b\",\"boot_id\":1}",
            "{\"version\":1,\"node_id\":\"ND_a\",\"boot_id\":18446744073709551615}",
            &long,
        ];
        for text in cases {
            fs::write(&node, text).unwrap();
            let error = load(&folder, NOW).unwrap_err();
            assert!(error.to_string().contains("node.json is corrupt"), "{error}");
            assert_eq!(fs::read_to_string(&node).unwrap(), text);
            fs::write(&members, text).unwrap();
            let error = SavedMembers::load(&folder).unwrap_err();
            assert!(error.to_string().contains("members.json is corrupt"), "{error}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_crash_while_saving_leaves_the_old_file() {
        let folder = scratch_folder("draft");
        let first = load(&folder, NOW).unwrap().member();
        fs::write(folder.join("node.json.draft"), "{\"ver").unwrap();
        assert_eq!(load(&folder, NOW).unwrap().node_id, first.node_id);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_clock_in_the_far_future_is_not_believed() {
        assert!(matches!(Identity::load(None, None, u64::MAX), Err(IdentityError::Clock { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let folder = scratch_folder("file");
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        let error = load(&file.join("data"), NOW).unwrap_err().to_string();
        assert!(error.contains("file/data cannot be made"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_lives_cannot_share_a_data_directory() {
        let folder = scratch_folder("shared");
        let first = load(&folder, NOW).unwrap();
        let error = load(&folder, NOW).unwrap_err();
        assert!(matches!(&error, IdentityError::InUse { path } if *path == folder), "{error}");
        drop(first);
        assert_eq!(load(&folder, NOW).unwrap().boot_id.number(), NOW + 1, "the refused one counted as a life");
        fs::remove_dir_all(folder).unwrap();
    }

    const HOLDER: &str = "STARLING_TEST_LOCK_HOLDER";

    /// Not a test of its own: run as another process by the next one, holds the lock until it is killed.
    #[test]
    fn holds_a_lock_when_asked_to() {
        let Some(folder) = std::env::var_os(HOLDER) else { return };
        let folder = PathBuf::from(folder);
        let _identity = load(&folder, NOW).unwrap();
        // Past the test harness, which keeps what is printed to itself.
        std::io::stderr().write_all(b"held").unwrap();
        // Ends when the pipe closes, should the other process die first.
        let _ = std::io::stdin().read(&mut [0]);
    }

    #[test]
    fn the_lock_of_a_killed_process_is_free() {
        let folder = scratch_folder("killed");
        let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "identity::tests::holds_a_lock_when_asked_to"])
            .env(HOLDER, &folder)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 4];
        holder.stderr.take().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"held");
        assert!(matches!(load(&folder, NOW), Err(IdentityError::InUse { .. })));
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(load(&folder, NOW).unwrap().boot_id.number(), NOW + 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn members_are_saved_up_to_the_limit() {
        let folder = scratch_folder("members");
        assert_eq!(SavedMembers::load(&folder).unwrap(), SavedMembers::default());
        let member = |number: usize| SavedMember {
            node_id: NodeId::try_from(format!("ND_{number}")).unwrap(),
            address: SocketAddr::from(([10, 0, 1, (number % 250) as u8], 7946)),
        };
        let many = SavedMembers { members: (0..MEMBERS_SAVED_MAX + 9).map(member).collect() };
        many.save(&folder).unwrap();
        assert_eq!(SavedMembers::load(&folder).unwrap().members, many.members[..MEMBERS_SAVED_MAX]);
        let fewer = SavedMembers { members: vec![member(3)] };
        fewer.save(&folder).unwrap();
        assert_eq!(SavedMembers::load(&folder).unwrap(), fewer);
        fs::remove_dir_all(folder).unwrap();
    }
}
