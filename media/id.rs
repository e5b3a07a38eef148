//! Names of things inside one node's media plane. They never cross a wire between nodes.

/// One WebRTC connection, unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PeerId(pub u64);

/// One room as the media plane sees it: the peers that may forward to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RoomKey(pub u64);

/// One published track, with all its simulcast layers and codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TrackKey(pub u64);

/// One accepted ICE-TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ConnectionId(pub u64);

/// Where datagrams of a peer come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Path {
    /// A remote UDP address, seen through the worker's socket with this index.
    Udp {
        /// Index of the worker's socket.
        socket: u8,
        /// The remote address.
        remote: std::net::SocketAddr,
    },
    /// An ICE-TCP connection (RFC 6544), framed by RFC 4571.
    Tcp {
        /// The connection.
        connection: ConnectionId,
        /// The remote address.
        remote: std::net::SocketAddr,
    },
}

impl Path {
    /// Returns the remote address, whatever carries the datagrams.
    #[must_use]
    pub fn remote(&self) -> std::net::SocketAddr {
        match self {
            Self::Udp { remote, .. } | Self::Tcp { remote, .. } => *remote,
        }
    }
}
