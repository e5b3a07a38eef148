//! A node's process, seen from outside.

use crate::child::{ENTRY, SETTING, Setting};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// No story waits longer for anything. Far above what anything takes, so that a busy machine fails nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<Value>,
    pub(crate) address: Option<SocketAddr>,
    /// The last view that it printed.
    pub(crate) view: Value,
}

/// What is told to a node unless a story says otherwise.
pub(crate) fn setting() -> Setting {
    Setting {
        cluster: "stories".to_owned(),
        key: 7,
        node_id: None,
        data_dir: None,
        listen: "127.0.0.1:0".parse().expect("address"),
        seeds: Vec::new(),
        join_wait_ms: 5_000,
    }
}

/// A folder of its own for a node, removed with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("starling-story-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Node {
    /// Starts the process and does not wait for it.
    pub(crate) fn spawn(setting: &Setting) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this executable"))
            .args(["--exact", ENTRY, "--nocapture", "--test-threads", "1"])
            .env(SETTING, serde_json::to_string(setting).expect("plain data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test harness prints before the node does, also on the same line.
                let json = line.find('{').and_then(|start| serde_json::from_str(&line[start..]).ok());
                if json.is_some_and(|json| sender.send(json).is_err()) {
                    return;
                }
            }
        });
        let orders = child.stdin.take();
        Self { child, orders, lines, address: None, view: Value::Null }
    }

    /// Starts the process and waits until it takes rooms.
    pub(crate) fn start(setting: &Setting) -> Self {
        let mut node = Self::spawn(setting);
        node.wait_for_start();
        node
    }

    pub(crate) fn wait_for_start(&mut self) {
        let started = self.wait_for("started");
        self.address = Some(serde_json::from_value(started).expect("an address"));
    }

    pub(crate) fn seed(&self) -> String {
        self.address.expect("it has started").to_string()
    }

    /// Why it was refused.
    pub(crate) fn refusal(&mut self) -> String {
        self.wait_for("refused").as_str().expect("text").to_owned()
    }

    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().expect("not closed"), "{order}").expect("it reads");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it is dead");
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "signal {name}");
    }

    /// Waits for a line of that kind; views are remembered on the way.
    pub(crate) fn wait_for(&mut self, what: &str) -> Value {
        let deadline = now() + PATIENCE;
        loop {
            let mut line = self.next_line(deadline).unwrap_or_else(|| panic!("no {what}; last view: {:#}", self.view));
            if let Some(value) = line.get_mut(what) {
                return value.take();
            }
        }
    }

    /// Waits for a view of which `wanted` holds and says how long that took.
    pub(crate) fn wait_for_view(&mut self, story: &str, wanted: impl Fn(&Value) -> bool) -> Duration {
        let start = now();
        while !wanted(&self.view) {
            if self.next_line(start + PATIENCE).is_none() {
                panic!("{story}: not seen; last view: {:#}", self.view);
            }
        }
        start.elapsed()
    }

    fn next_line(&mut self, deadline: Instant) -> Option<Value> {
        let line = self.lines.recv_timeout(deadline.saturating_duration_since(now())).ok()?;
        if let Some(view) = line.get("view") {
            self.view = view.clone();
        }
        Some(line)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It ends by itself once nobody orders it; whatever hangs is killed by its id.
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "stories of real processes take real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How many members are in that state.
pub(crate) fn count(view: &Value, state: &str) -> usize {
    let members = view["members"].as_object();
    members.map_or(0, |members| members.values().filter(|member| member["state"] == state).count())
}

/// How many members a new room may be placed on, as far as their facts and links say.
pub(crate) fn able(view: &Value) -> usize {
    let able = |member: &&Value| {
        member["state"] == "serving"
            && member["facts"]["ready"] == true
            && (member["link"] == "up" || member["link"] == "own")
    };
    view["members"].as_object().map_or(0, |members| members.values().filter(able).count())
}
