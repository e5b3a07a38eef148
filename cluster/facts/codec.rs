//! Facts ⇄ chitchat's keys and values. Pure.
//!
//! The address is no key: chitchat's own identity of a node carries it.

use crate::limits::{FACT_BYTES_MAX, LOAD_CPU_STEP, LOAD_EGRESS_STEP};
use crate::member::{Capacity, Load, MemberFacts, MemberId, Role};
use std::collections::BTreeSet;
use std::str::FromStr;

const HTTP: &str = "http";
const ROLES: &str = "roles";
const REGION: &str = "region";
const VERSION: &str = "ver";
const CAPACITY: &str = "cap";
const LOAD: &str = "load";
const DRAINING: &str = "drain";
/// Written last and therefore seen last: facts count once it is there.
const READY: &str = "ready";

/// A fact that chitchat must not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact {key:?} has {bytes} bytes, the limit is {FACT_BYTES_MAX}")]
pub struct FactTooLarge {
    /// Which.
    pub key: &'static str,
    /// Its size.
    pub bytes: usize,
}

/// Facts as keys and values, in the order in which they must be written.
///
/// # Errors
/// [`FactTooLarge`] for a value above [`FACT_BYTES_MAX`].
pub fn encode(facts: &MemberFacts) -> Result<Vec<(&'static str, String)>, FactTooLarge> {
    let roles: Vec<&str> = facts.roles.iter().map(|role| role_word(*role)).collect();
    let Capacity { cpu_millicores, egress_mbps } = facts.capacity;
    let load = quantised(facts.load);
    let pairs = vec![
        (HTTP, facts.http.clone()),
        (ROLES, roles.join(",")),
        (REGION, facts.region.clone()),
        (VERSION, facts.version.clone()),
        (CAPACITY, format!("{cpu_millicores},{egress_mbps}")),
        (LOAD, format!("{},{},{},{}", load.cpu_millicores, load.egress_mbps, load.rooms, load.participants)),
        (DRAINING, flag(facts.draining).to_owned()),
        (READY, flag(facts.ready).to_owned()),
    ];
    match pairs.iter().find(|(_, value)| value.len() > FACT_BYTES_MAX) {
        Some((key, value)) => Err(FactTooLarge { key, bytes: value.len() }),
        None => Ok(pairs),
    }
}

/// What `member` says of itself, as far as it is readable: unknown keys are nothing, an unreadable value makes its
/// fact absent and is counted in `unreadable`. `None` until the last key has come.
pub fn decode<'a>(
    member: &MemberId,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    unreadable: &mut u64,
) -> Option<MemberFacts> {
    let mut facts = MemberFacts {
        member: member.clone(),
        region: String::new(),
        version: String::new(),
        roles: BTreeSet::new(),
        capacity: Capacity::default(),
        load: Load::default(),
        http: String::new(),
        ready: false,
        draining: false,
    };
    let mut complete = false;
    for (key, value) in pairs {
        let readable = match key {
            HTTP => set(&mut facts.http, text(value)),
            ROLES => set(&mut facts.roles, roles(value)),
            REGION => set(&mut facts.region, text(value)),
            VERSION => set(&mut facts.version, text(value)),
            CAPACITY => set(&mut facts.capacity, capacity(value)),
            LOAD => set(&mut facts.load, load(value)),
            DRAINING => set(&mut facts.draining, unflag(value)),
            READY => {
                complete = true;
                set(&mut facts.ready, unflag(value))
            }
            _ => true,
        };
        *unreadable += u64::from(!readable);
    }
    complete.then_some(facts)
}

/// Load in the steps in which it is told: a change smaller than a step is no change.
#[must_use]
pub fn quantised(load: Load) -> Load {
    Load {
        cpu_millicores: in_steps(load.cpu_millicores, LOAD_CPU_STEP),
        egress_mbps: in_steps(load.egress_mbps, LOAD_EGRESS_STEP),
        rooms: load.rooms,
        participants: load.participants,
    }
}

fn in_steps(number: u32, step: u32) -> u32 {
    number.saturating_add(step / 2) / step * step
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let readable = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    readable
}

fn text(value: &str) -> Option<String> {
    let printable = value.len() <= FACT_BYTES_MAX && !value.chars().any(char::is_control);
    printable.then(|| value.to_owned())
}

/// Roles that this version does not know are left out: another version may have more of them.
fn roles(value: &str) -> Option<BTreeSet<Role>> {
    let words = value.split(',').filter(|word| !word.is_empty());
    let known = words.filter_map(|word| {
        [Role::Room, Role::Record, Role::Transcode].into_iter().find(|role| role_word(*role) == word)
    });
    (value.len() <= FACT_BYTES_MAX).then(|| known.collect())
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Room => "room",
        Role::Record => "record",
        Role::Transcode => "transcode",
    }
}

fn capacity(value: &str) -> Option<Capacity> {
    let [cpu_millicores, egress_mbps] = numbers(value)?;
    Some(Capacity { cpu_millicores, egress_mbps })
}

fn load(value: &str) -> Option<Load> {
    let [cpu_millicores, egress_mbps, rooms, participants] = numbers(value)?;
    Some(Load { cpu_millicores, egress_mbps, rooms, participants })
}

/// The first `N` numbers; a later version may append more.
fn numbers<const N: usize>(value: &str) -> Option<[u32; N]> {
    let mut parts = value.split(',').map(|part| u32::from_str(part).ok());
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = parts.next()??;
    }
    Some(numbers)
}

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

fn unflag(value: &str) -> Option<bool> {
    match value {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}
