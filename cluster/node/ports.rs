//! The cluster port: UDP and TCP under one number.

use super::error::JoinError;
use crate::limits::PORT_ATTEMPTS;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// Both sockets and the address that others are told.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
    pub(super) address: SocketAddr,
}

impl Ports {
    /// Opens both; port 0 is any that is free for both.
    pub(super) async fn open(listen: SocketAddr, advertise: Option<SocketAddr>) -> Result<Self, JoinError> {
        if advertise.is_none() && listen.ip().is_unspecified() {
            return Err(JoinError::NoAddress { listen });
        }
        let (udp, tcp) = both(listen).await.map_err(|error| JoinError::Port { listen, error })?;
        let opened = udp.local_addr().map_err(|error| JoinError::Port { listen, error })?;
        let mut address = advertise.unwrap_or(opened);
        if address.port() == 0 {
            address.set_port(opened.port());
        }
        Ok(Self { udp, tcp, address })
    }
}

async fn both(listen: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempts = if listen.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let udp = UdpSocket::bind(listen).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if attempts == 0 => return Err(error),
            // The number is free for UDP only; another one will do.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[tokio::test]
    async fn any_port_is_the_same_for_udp_and_tcp_and_is_the_one_that_others_are_told() {
        let ports = Ports::open(address("127.0.0.1:0"), Some(address("127.0.0.9:0"))).await.expect("opens");
        let port = ports.udp.local_addr().expect("bound").port();
        assert_eq!(ports.tcp.local_addr().expect("bound").port(), port);
        assert_eq!(ports.address, SocketAddr::new(address("127.0.0.9:0").ip(), port));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let ports = Ports::open(address("127.0.0.1:0"), None).await.expect("opens");
        let error = Ports::open(ports.address, None).await.expect_err("it is taken");
        assert!(error.to_string().contains(&ports.address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn every_address_is_none_that_others_could_be_told() {
        let error = Ports::open(address("0.0.0.0:0"), None).await.expect_err("not an address");
        assert!(matches!(error, JoinError::NoAddress { .. }));
    }
}
