//! Stories of links that are wanted, made, lost and replaced.

use super::*;
use crate::link::greeting::tests::member;
use std::collections::BTreeSet;

/// Its name is between those of `low` and `high`.
fn me() -> MemberId {
    member("ND_m", 1)
}

/// We dial it.
fn low() -> MemberId {
    member("ND_a", 1)
}

/// It dials us.
fn high() -> MemberId {
    member("ND_z", 1)
}

fn address() -> SocketAddr {
    "10.0.0.1:7946".parse().expect("address")
}

struct World {
    table: LinkTable,
    now: Instant,
}

impl World {
    fn new(wanted: &[MemberId]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a beginning")]
        let now = Instant::now();
        let mut world = Self { table: LinkTable::new(me(), 1), now };
        world.want(wanted);
        world
    }

    fn want(&mut self, wanted: &[MemberId]) {
        self.table.want(wanted.iter().map(|member| (member.clone(), address())).collect(), self.now);
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.table.poll_effect()).collect()
    }

    /// Lets time pass up to the next deadline; how much it was.
    fn wait(&mut self) -> Duration {
        let at = self.table.next_deadline().expect("something is due");
        let waited = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.table.tick(self.now);
        waited
    }

    /// A link to [`low`] with this number, up.
    fn up(link: u64) -> Self {
        let mut world = Self::new(&[low()]);
        world.table.dialled(&low(), Ok(link), world.now);
        world.table.opened(link);
        world.effects();
        world
    }

    /// A link from [`high`] with this number, up.
    fn accepted(link: u64) -> Self {
        let mut world = Self::new(&[high()]);
        world.table.incoming(&high(), link, world.now).expect("wanted");
        world.table.opened(link);
        world.effects();
        world
    }
}

fn dial(member: MemberId) -> Effect {
    Effect::Dial { member, address: address() }
}

#[test]
fn of_two_members_the_one_with_the_greater_name_dials() {
    let mut world = World::new(&[low(), high(), me()]);
    assert_eq!(world.effects(), [dial(low())]);
    assert_eq!(world.table.incoming(&low(), 5, world.now), Err(Refusal::OtherWay));
    assert_eq!(world.table.incoming(&high(), 6, world.now), Ok(()));
    assert_eq!(world.effects(), [Effect::Open { link: 6 }]);
}

#[test]
fn a_link_is_up_when_messages_flow_and_not_before() {
    let mut world = World::new(&[low()]);
    world.effects();
    world.table.dialled(&low(), Ok(5), world.now);
    assert_eq!(world.effects(), [Effect::Open { link: 5 }]);
    assert_eq!(world.table.links_up(), 0);
    world.table.opened(5);
    world.table.opened(5);
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Up(low()))], "once");
    assert_eq!(world.table.links_up(), 1);
}

#[test]
fn whoever_is_not_a_member_gets_no_link() {
    let mut world = World::new(&[low()]);
    assert_eq!(world.table.incoming(&high(), 5, world.now), Err(Refusal::NotAMember));
    assert_eq!(world.table.incoming(&member("ND_z", 2), 5, world.now), Err(Refusal::NotAMember));
}

#[test]
fn failed_dials_are_repeated_after_longer_and_longer_waits_up_to_the_limit() {
    let mut world = World::new(&[low()]);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(world.effects(), [dial(low())]);
        world.table.dialled(&low(), Err(DialFailure::Other), world.now);
        waits.push(world.wait());
    }
    assert!(waits[0] >= limits::DIAL_BACKOFF_FIRST / 2 && waits[0] <= limits::DIAL_BACKOFF_FIRST);
    assert!(waits.iter().all(|wait| *wait <= limits::DIAL_BACKOFF_MAX));
    assert!(waits.iter().skip(7).all(|wait| *wait >= limits::DIAL_BACKOFF_MAX / 2));
    assert_eq!(waits.iter().collect::<BTreeSet<_>>().len(), waits.len(), "jitter: no two alike");
}

#[test]
fn a_first_dial_that_is_refused_hints_nothing() {
    let mut world = World::new(&[low()]);
    world.effects();
    world.table.dialled(&low(), Err(DialFailure::Gone), world.now);
    assert_eq!(world.effects(), []);
}

#[test]
fn a_lost_link_is_dialled_at_once_and_a_refusal_then_hints_that_the_member_is_down() {
    let mut world = World::up(5);
    world.table.ended(5, world.now);
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Lost(low())), dial(low())]);
    world.table.dialled(&low(), Err(DialFailure::Gone), world.now);
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Refused(low()))]);
    world.wait();
    world.table.dialled(&low(), Err(DialFailure::Gone), world.now);
    assert_eq!(world.effects(), [dial(low())], "one hint per loss");
}

#[test]
fn a_dial_that_only_fails_hints_nothing_and_neither_does_a_late_refusal() {
    let mut world = World::up(5);
    world.table.ended(5, world.now);
    world.effects();
    world.table.dialled(&low(), Err(DialFailure::Other), world.now);
    world.now += limits::REFUSAL_HINT_TIME;
    world.wait();
    world.table.dialled(&low(), Err(DialFailure::Gone), world.now);
    assert_eq!(world.effects(), [dial(low())]);
}

#[test]
fn the_side_that_does_not_dial_probes_a_member_that_ended_its_link() {
    let mut world = World::accepted(5);
    world.table.ended(5, world.now);
    let probe = Effect::Probe { member: high(), address: address() };
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Lost(high())), probe.clone()]);
    world.table.probed(&high(), false, world.now);
    world.wait();
    assert_eq!(world.effects(), [probe], "a dying process closes its port last");
    world.table.probed(&high(), true, world.now);
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Refused(high()))]);
    assert_eq!(world.table.next_deadline(), None);
}

#[test]
fn probes_end_when_somebody_listens() {
    let mut world = World::accepted(5);
    world.table.ended(5, world.now);
    for _ in 1..limits::PROBES_MAX {
        world.table.probed(&high(), false, world.now);
        world.wait();
    }
    world.table.probed(&high(), false, world.now);
    assert_eq!(world.table.next_deadline(), None);
}

#[test]
fn a_member_that_dials_again_replaces_its_link_once_the_old_session_has_ended() {
    let mut world = World::accepted(5);
    assert_eq!(world.table.incoming(&high(), 6, world.now), Ok(()));
    assert_eq!(world.effects(), [Effect::Close { link: 5 }, Effect::Event(LinkEvent::Lost(high()))]);
    assert_eq!(world.table.incoming(&high(), 7, world.now), Ok(()));
    assert_eq!(world.effects(), [Effect::Close { link: 6 }], "the latest one counts");
    world.table.ended(5, world.now);
    assert_eq!(world.effects(), [Effect::Open { link: 7 }]);
}

#[test]
fn a_session_that_does_not_end_is_not_waited_for_without_end() {
    let mut world = World::accepted(5);
    world.table.incoming(&high(), 6, world.now).expect("wanted");
    world.effects();
    assert_eq!(world.wait(), limits::LINK_REPLACE_TIME);
    assert_eq!(world.effects(), [Effect::Open { link: 6 }]);
    world.table.ended(5, world.now);
    world.table.opened(6);
    assert_eq!(world.effects(), [Effect::Event(LinkEvent::Up(high()))], "a late end is of no interest");
}

#[test]
fn a_link_that_does_not_open_is_closed_and_dialled_again() {
    let mut world = World::new(&[low()]);
    world.table.dialled(&low(), Ok(5), world.now);
    world.effects();
    assert_eq!(world.wait(), limits::LINK_OPEN_TIME);
    assert_eq!(world.effects(), [Effect::Close { link: 5 }]);
    world.table.ended(5, world.now);
    assert!(world.wait() <= limits::DIAL_BACKOFF_FIRST);
    assert_eq!(world.effects(), [dial(low())]);
}

#[test]
fn the_link_of_a_member_that_is_down_is_closed_and_not_dialled_again() {
    let mut world = World::up(5);
    world.want(&[]);
    assert_eq!(world.effects(), [Effect::Close { link: 5 }, Effect::Event(LinkEvent::Lost(low()))]);
    world.table.ended(5, world.now);
    assert_eq!((world.effects(), world.table.next_deadline()), (vec![], None));
    assert!(world.table.peers.is_empty(), "nothing is kept of it");
}

#[test]
fn another_life_of_a_node_is_another_member() {
    let mut world = World::up(5);
    let later = member("ND_a", 2);
    world.want(std::slice::from_ref(&later));
    let effects = world.effects();
    assert_eq!(effects, [Effect::Close { link: 5 }, Effect::Event(LinkEvent::Lost(low())), dial(later)]);
}

#[test]
fn a_member_wanted_again_waits_for_the_end_of_its_old_session() {
    let mut world = World::up(5);
    world.want(&[]);
    world.want(&[low()]);
    world.effects();
    world.table.ended(5, world.now);
    world.wait();
    assert_eq!(world.effects(), [dial(low())]);
}

#[test]
fn a_dial_that_ends_after_its_member_did_leaves_nothing() {
    let mut world = World::new(&[low()]);
    world.effects();
    world.want(&[]);
    world.table.dialled(&low(), Ok(5), world.now);
    assert_eq!(world.effects(), [Effect::Close { link: 5 }]);
    assert!(world.table.peers.is_empty());
}

#[test]
fn silence_is_told_once_and_so_is_its_end() {
    let mut world = World::up(5);
    for is_silent in [true, true, false, false] {
        world.table.silence(5, is_silent);
    }
    let expected = [LinkEvent::Silent(low()), LinkEvent::Heard(low())].map(Effect::Event);
    assert_eq!(world.effects(), expected);
}

#[test]
fn a_useless_link_is_closed_without_a_hint() {
    let mut world = World::up(5);
    world.table.useless(5, world.now);
    assert_eq!(world.effects(), [Effect::Close { link: 5 }, Effect::Event(LinkEvent::Lost(low()))]);
    world.table.ended(5, world.now);
    world.wait();
    world.table.dialled(&low(), Err(DialFailure::Gone), world.now);
    assert_eq!(world.effects(), [dial(low())], "this side closed it: that says nothing of the member");
}

#[test]
fn a_node_id_is_held_by_a_life_that_was_heard_lately_and_by_no_other() {
    let mut world = World::up(5);
    let later = member("ND_a", 2);
    assert_eq!(world.table.other_life(&later), Some((&low(), address())));
    assert_eq!(world.table.other_life(&low()), None);
    world.table.silence(5, true);
    assert_eq!(world.table.other_life(&later), None);
}
