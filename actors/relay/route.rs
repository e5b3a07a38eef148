//! Which node a join tries next (cluster.md §5.3, rules 5 and 6). Pure.

use crate::limits::JOIN_ATTEMPTS;
use crate::placement::core::{Epoch, Located};
use starling_cluster::member::MemberId;

/// Why a node did not take a join that another one may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The room goes on there.
    Moved(Located),
    /// That node has no such room, or one that ends in this moment.
    NotHere,
    /// That node gives no answer.
    Unreachable,
    /// The way there is crowded.
    Congested,
}

/// What a join does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask the directory, and tell it who could not be reached.
    Locate { failed_host: Option<MemberId> },
    /// Go there.
    Try(Located),
    /// Enough.
    GiveUp,
}

/// One join's way through the cluster.
#[derive(Debug, Default)]
pub(crate) struct Route {
    seen: Option<Epoch>,
    attempts: u32,
}

impl Route {
    /// After `tried` did not take it. A redirect is followed only to a strictly greater epoch than any that was seen:
    /// two stale ones would send it around for ever.
    pub(crate) fn after(&mut self, tried: &Located, why: Elsewhere) -> Step {
        self.attempts += 1;
        if self.attempts >= JOIN_ATTEMPTS {
            return Step::GiveUp;
        }
        self.seen = self.seen.take().max(Some(tried.epoch.clone()));
        match why {
            Elsewhere::Moved(located) if Some(&located.epoch) > self.seen.as_ref() => {
                self.seen = Some(located.epoch.clone());
                Step::Try(located)
            }
            Elsewhere::Moved(_) | Elsewhere::NotHere | Elsewhere::Congested => Step::Locate { failed_host: None },
            Elsewhere::Unreachable => Step::Locate { failed_host: Some(tried.host.clone()) },
        }
    }

    /// Nodes tried without success.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, counter: u64) -> Located {
        let member = |node: &str| crate::tests::facts(node).member;
        Located { host: member(host), epoch: Epoch { counter, decider: member("ND_o") } }
    }

    #[test]
    fn a_redirect_to_a_greater_epoch_is_followed() {
        assert_eq!(Route::default().after(&at("ND_a", 1), Elsewhere::Moved(at("ND_b", 2))), Step::Try(at("ND_b", 2)));
    }

    #[test]
    fn two_stale_redirects_lead_to_the_directory_and_not_around() {
        let mut route = Route::default();
        assert_eq!(route.after(&at("ND_a", 2), Elsewhere::Moved(at("ND_b", 3))), Step::Try(at("ND_b", 3)));
        let back = Elsewhere::Moved(at("ND_a", 2));
        assert_eq!(route.after(&at("ND_b", 3), back), Step::Locate { failed_host: None });
        let same = Elsewhere::Moved(at("ND_b", 3));
        assert_eq!(route.after(&at("ND_a", 2), same), Step::Locate { failed_host: None }, "not strictly greater");
    }

    #[test]
    fn an_unreachable_host_is_named_to_the_directory() {
        let failed_host = Some(at("ND_a", 1).host);
        assert_eq!(Route::default().after(&at("ND_a", 1), Elsewhere::Unreachable), Step::Locate { failed_host });
    }

    #[test]
    fn it_gives_up_after_bounded_attempts() {
        let mut route = Route::default();
        for _ in 1..JOIN_ATTEMPTS {
            assert_ne!(route.after(&at("ND_a", 1), Elsewhere::NotHere), Step::GiveUp);
        }
        assert_eq!(route.after(&at("ND_a", 1), Elsewhere::NotHere), Step::GiveUp);
        assert_eq!(route.attempts(), JOIN_ATTEMPTS);
    }
}
