//! How large a simulated cluster is, what happens to it, and what came of it.

/// How large the cluster is and what happens to it. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes; 2 to 16.
    pub nodes: usize,
    /// Room names.
    pub rooms: usize,
    /// Clients, spread over the rooms.
    pub clients: usize,
    /// Faults.
    pub faults: usize,
    /// Rooms moved by operators, half of them with one more fault within the move.
    pub moves: usize,
    /// They begin within this time.
    pub faults_ms: u64,
    /// From the last beginning to the healing of everything.
    pub unrest_ms: u64,
    /// After healed membership everybody has this long to be in one room with the others.
    pub converge_ms: u64,
    /// Judged for this long after that.
    pub calm_ms: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 5,
            rooms: 6,
            clients: 24,
            faults: 8,
            moves: 6,
            faults_ms: 25_000,
            unrest_ms: 8_000,
            converge_ms: 2_000,
            calm_ms: 3_000,
        }
    }
}

/// What came of a history that broke no promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Over all that happened: equal seeds have equal histories.
    pub history: u64,
    /// From healed membership until everybody was in one room with the others, milliseconds.
    pub converged_ms: u64,
    /// How long clients were without their room, each outage, milliseconds.
    pub outages_ms: Vec<u64>,
    /// Messages between nodes.
    pub messages: u64,
    /// Placements, placements of rooms whose host died, decided conflicts.
    pub placed: u64,
    /// Rooms placed again because their host had died.
    pub replaced: u64,
    /// Rooms that two nodes had.
    pub conflicts: u64,
    /// Placements that a host refused as too low.
    pub too_low: u64,
    /// Rooms moved, by operators and by drains.
    pub moved: u64,
    /// Moves given up.
    pub aborted: u64,
    /// Until the node that drained in the end had no room any more and everybody was elsewhere, milliseconds.
    pub drained_ms: u64,
    /// The longest that somebody was without a room then, milliseconds.
    pub drain_outage_ms: u64,
    /// Rooms moved then.
    pub drained_rooms: u64,
}

impl Plan {
    /// The plan that a seed is run with: clusters of 2 to 6 nodes.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let nodes = 2 + usize::try_from(seed % 5).unwrap_or_default();
        Self { nodes, ..Self::default() }
    }
}
