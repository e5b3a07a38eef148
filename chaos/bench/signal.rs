//! Signalling of the benchmark: one JSON line there (`role`, `sdp`), one back (`sdp`), one TCP connection each.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a load client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Publisher,
    Subscriber,
}

#[derive(Serialize, Deserialize)]
struct Offer {
    role: Role,
    sdp: String,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    sdp: String,
}

/// One client that wants to join.
pub(crate) struct Join {
    pub(crate) role: Role,
    pub(crate) offer: String,
    pub(crate) answer: Sender<String>,
}

/// Listens on a free port of loopback; joins come through the channel.
pub(crate) fn listen() -> io::Result<(SocketAddr, Receiver<Join>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let (joins, receiver) = channel();
    std::thread::spawn(move || {
        // Clients of the load join one after the other.
        for stream in listener.incoming().flatten() {
            if serve(stream, &joins).is_err() {
                break;
            }
        }
    });
    Ok((address, receiver))
}

fn serve(mut stream: TcpStream, joins: &Sender<Join>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let offer: Offer = serde_json::from_str(&line)?;
    let (answer, answers) = channel();
    let join = Join { role: offer.role, offer: offer.sdp, answer };
    joins.send(join).map_err(|_| io::Error::other("the forwarder has ended"))?;
    let sdp = answers.recv().map_err(|_| io::Error::other("the forwarder gave no answer"))?;
    write_line(&mut stream, &Answer { sdp })
}

/// Sends an offer and waits for its answer.
pub(crate) fn join(address: SocketAddr, role: Role, sdp: String) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write_line(&mut stream, &Offer { role, sdp })?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str::<Answer>(&line)?.sdp)
}

fn write_line(stream: &mut TcpStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}
