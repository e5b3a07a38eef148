//! Asks STUN servers for the addresses under which sockets are seen from outside (RFC 8489 binding), at the start and
//! of all sockets at once.

use crate::codec::Candidate;
use crate::transport::stun_client::{binding_request, mapped_address};
use crate::worker::socket::{BatchSocket, ReceiveBuffers};
use std::net::SocketAddr;
use std::time::Duration;

/// Servers asked by one socket; further ones are left out.
const SERVERS_MAX: usize = 8;
/// Time for the answers of all servers to all sockets; the start waits no longer.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// Time between two looks at the sockets; a start-up step, so polling is good enough.
const STEP: Duration = Duration::from_millis(20);
/// Steps between two requests to one server: RFC 8489's first retransmission timeout of 500 ms.
const STEPS_PER_REQUEST: u32 = 25;

/// One question to one server, repeated until it is answered.
struct Question {
    server: SocketAddr,
    request: [u8; 20],
    transaction: [u8; 12],
}

/// What one socket asks, and what it was told.
struct Inquiry<'a> {
    socket: &'a BatchSocket,
    questions: Vec<Question>,
    answer: Option<SocketAddr>,
}

impl<'a> Inquiry<'a> {
    /// Asks every server of the socket's family; none from loopback, which nobody sees from outside.
    fn new(socket: &'a BatchSocket, servers: &[SocketAddr]) -> Self {
        let of_family = servers.iter().filter(|server| server.is_ipv4() == socket.is_ipv4());
        let asked = of_family.filter(|_| !socket.local().ip().is_loopback()).take(SERVERS_MAX);
        let question = |server: &SocketAddr| {
            let (request, transaction) = binding_request();
            Question { server: *server, request, transaction }
        };
        Self { socket, questions: asked.map(question).collect(), answer: None }
    }

    fn is_open(&self) -> bool {
        self.answer.is_none() && !self.questions.is_empty()
    }

    fn send(&self) {
        for question in &self.questions {
            self.socket.send_one(question.server, &question.request);
        }
    }

    /// Takes what has arrived; the first answer counts.
    fn receive(&mut self, buffers: &mut ReceiveBuffers) {
        for index in 0..self.socket.receive(buffers) {
            let Some((from, datagram)) = buffers.datagram(index) else { continue };
            let asked = self.questions.iter().find(|question| question.server == from);
            if let Some(address) = asked.and_then(|question| mapped_address(datagram, &question.transaction)) {
                self.answer = self.answer.or(Some(address));
            }
        }
    }
}

/// The mapped address of every socket of every worker, in their order; `None` where no server of its family answers.
pub(crate) async fn external_addresses(
    workers: &[Vec<BatchSocket>],
    servers: &[SocketAddr],
) -> Vec<Vec<Option<SocketAddr>>> {
    ask(workers, servers, ANSWER_TIME).await
}

async fn ask(workers: &[Vec<BatchSocket>], servers: &[SocketAddr], within: Duration) -> Vec<Vec<Option<SocketAddr>>> {
    let mut inquiries: Vec<Inquiry<'_>> =
        workers.iter().flatten().map(|socket| Inquiry::new(socket, servers)).collect();
    let mut buffers = ReceiveBuffers::new();
    for step in 0..u32::try_from(within.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX) {
        if !inquiries.iter().any(Inquiry::is_open) {
            break;
        }
        if step % STEPS_PER_REQUEST == 0 {
            inquiries.iter().filter(|inquiry| inquiry.is_open()).for_each(Inquiry::send);
        }
        tokio::time::sleep(STEP).await;
        inquiries.iter_mut().filter(|inquiry| inquiry.is_open()).for_each(|inquiry| inquiry.receive(&mut buffers));
    }
    let mut answers = inquiries.into_iter().map(|inquiry| inquiry.answer);
    workers.iter().map(|sockets| answers.by_ref().take(sockets.len()).collect()).collect()
}

/// ICE-TCP candidates for the external addresses of `sockets`: a forwarding of the TCP port is the operator's to set up,
/// as with LiveKit. `told` are the candidates known already, which name the port.
pub(crate) fn external_tcp_candidates(told: &[Candidate], external: &[Option<SocketAddr>]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let Some(port) = told.first().map(|candidate| candidate.address.port()) else { return candidates };
    for ip in external.iter().flatten().map(SocketAddr::ip) {
        let address = SocketAddr::new(ip, port);
        if !told.iter().chain(&candidates).any(|candidate| candidate.address == address) {
            candidates.push(Candidate { tcp: true, address, reflexive: false });
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn any() -> BatchSocket {
        BatchSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap()
    }

    /// Answers one request as a STUN server behind which everybody is 192.0.2.1:32853.
    fn server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut request = [0; 100];
            let (_, from) = socket.recv_from(&mut request).unwrap();
            let mut answer = vec![0x01, 0x01, 0x00, 0x0c];
            answer.extend(&request[4..20]);
            answer.extend([0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
            socket.send_to(&answer, from).unwrap();
        });
        address
    }

    #[tokio::test]
    async fn a_dead_server_keeps_no_answer_of_another_back() {
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
        let servers = [dead.local_addr().unwrap(), server()];
        let workers = [vec![any()], Vec::new()];
        let answers = ask(&workers, &servers, Duration::from_secs(60)).await;
        assert_eq!(answers, [vec![Some("192.0.2.1:32853".parse().unwrap())], vec![]]);
        let mut asked = [0; 100];
        assert_eq!(dead.recv_from(&mut asked).unwrap().0, 20);
    }

    #[tokio::test]
    async fn the_wait_is_bounded_for_all_sockets_together() {
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
        let workers = [vec![any(), any()], vec![any()]];
        let servers = [dead.local_addr().unwrap(); 20];
        let asking = ask(&workers, &servers, STEP * 3);
        let answers = tokio::time::timeout(Duration::from_secs(30), asking).await.unwrap();
        assert_eq!(answers, [vec![None, None], vec![None]]);
    }

    #[tokio::test]
    async fn loopback_sockets_and_the_other_family_do_not_ask() {
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
        dead.set_nonblocking(true).unwrap();
        let workers = [vec![BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap(), any()]];
        let servers = [dead.local_addr().unwrap()];
        assert!(!Inquiry::new(&workers[0][0], &servers).is_open());
        assert!(!Inquiry::new(&workers[0][1], &["[2001:db8::1]:3478".parse().unwrap()]).is_open());
        assert!(Inquiry::new(&workers[0][1], &servers).is_open());
    }

    #[test]
    fn an_external_address_is_told_for_tcp_with_the_port_of_tcp() {
        let told = [Candidate { tcp: true, address: "10.0.0.1:7881".parse().unwrap(), reflexive: false }];
        let external = [Some("192.0.2.1:32853".parse().unwrap()), None, Some("192.0.2.1:9".parse().unwrap())];
        let candidates = external_tcp_candidates(&told, &external);
        assert_eq!(candidates.len(), 1);
        assert!(candidates[0].tcp && candidates[0].address.to_string() == "192.0.2.1:7881");
        assert_eq!(external_tcp_candidates(&[], &external), []);
    }
}
