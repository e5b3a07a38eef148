//! Asks STUN servers for the address under which a socket is seen from outside (RFC 8489 binding).

use crate::transport::stun_client::{binding_request, mapped_address};
use crate::worker::socket::{BatchSocket, ReceiveBuffers};
use std::net::SocketAddr;
use std::time::Duration;

/// Requests sent to each server before the next one is asked.
const TRIES: usize = 3;
/// Time between looks at the socket; a start-up step, so polling is good enough.
const STEP: Duration = Duration::from_millis(20);
/// Steps waited for an answer to one request.
const STEPS_PER_TRY: usize = 25;

/// The mapped address, or `None` when no server of the socket's family answers.
pub(crate) async fn external_address(socket: &BatchSocket, servers: &[SocketAddr]) -> Option<SocketAddr> {
    let mut buffers = ReceiveBuffers::new();
    for server in servers.iter().filter(|server| server.is_ipv4() == socket.is_ipv4()) {
        for _ in 0..TRIES {
            let (request, transaction) = binding_request();
            socket.send_one(*server, &request);
            for _ in 0..STEPS_PER_TRY {
                tokio::time::sleep(STEP).await;
                for index in 0..socket.receive(&mut buffers) {
                    let answer = buffers.datagram(index).filter(|(from, _)| from == server);
                    if let Some(address) = answer.and_then(|(_, datagram)| mapped_address(datagram, &transaction)) {
                        return Some(address);
                    }
                }
            }
        }
    }
    None
}
