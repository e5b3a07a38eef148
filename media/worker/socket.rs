//! One UDP socket, read and written in batches (recvmmsg, sendmmsg with UDP_SEGMENT). Linux.
#![expect(unsafe_code, reason = "batched datagram calls have no safe wrapper")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// Datagrams read by one system call.
pub(crate) const RECEIVE_BATCH: usize = 64;
/// Largest datagram taken; RTP over a path MTU of 1500 stays below, DTLS handshakes are limited by our MTU.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 2048;
/// Messages handed to one `sendmmsg`.
const SEND_BATCH: usize = 64;
/// Kernel buffer asked for in each direction; the kernel caps it at `net.core.{r,w}mem_max` without CAP_NET_ADMIN.
static SOCKET_BUFFER_BYTES: i32 = 16 << 20;

/// A remote address in the form the kernel takes, so that no conversion is paid per packet.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    storage: libc::sockaddr_in6,
    length: u8,
}

impl std::fmt::Debug for RawAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.address())
    }
}

impl PartialEq for RawAddress {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.bytes() == other.bytes()
    }
}

impl RawAddress {
    /// Converts a socket address.
    pub(crate) fn new(address: SocketAddr) -> Self {
        // SAFETY: sockaddr_in6 is plain data; all-zero is a valid value.
        let mut storage: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
        let length = match address {
            SocketAddr::V4(v4) => {
                let name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_in (16 bytes) fits into sockaddr_in6 (28 bytes); both are plain data.
                unsafe { std::ptr::copy_nonoverlapping((&raw const name).cast::<u8>(), (&raw mut storage).cast(), 16) };
                16
            }
            SocketAddr::V6(v6) => {
                storage.sin6_family = libc::AF_INET6 as u16;
                storage.sin6_port = v6.port().to_be();
                storage.sin6_addr.s6_addr = v6.ip().octets();
                storage.sin6_scope_id = v6.scope_id();
                28
            }
        };
        Self { storage, length }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `length` is 16 or 28, never above the size of sockaddr_in6, and every byte is initialised.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), usize::from(self.length)) }
    }

    /// Converts back.
    pub(crate) fn address(&self) -> SocketAddr {
        let bytes = self.bytes();
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        if self.length == 16 {
            return SocketAddr::from(([bytes[4], bytes[5], bytes[6], bytes[7]], port));
        }
        let address = std::net::Ipv6Addr::from(self.storage.sin6_addr.s6_addr);
        SocketAddr::V6(std::net::SocketAddrV6::new(address, port, 0, self.storage.sin6_scope_id))
    }
}

/// One message of a batch: `count` datagrams of `segment` bytes (the last may be shorter), back to back in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) to: RawAddress,
    pub(crate) offset: usize,
    pub(crate) length: usize,
    pub(crate) segment: usize,
    pub(crate) count: usize,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendOutcome {
    /// Messages that the kernel took.
    pub(crate) sent: usize,
    /// The kernel refused segmentation on this socket; the first unsent message must be split.
    pub(crate) segmentation_refused: bool,
}

/// Receive buffers of one worker, shared by its sockets.
pub(crate) struct ReceiveBuffers {
    bytes: Box<[[u8; DATAGRAM_BYTES_MAX]; RECEIVE_BATCH]>,
    names: [libc::sockaddr_in6; RECEIVE_BATCH],
    lengths: [usize; RECEIVE_BATCH],
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        let bytes = vec![[0; DATAGRAM_BYTES_MAX]; RECEIVE_BATCH];
        Self {
            bytes: bytes.try_into().expect("the vector was made with the batch's length"),
            // SAFETY: sockaddr_in6 is plain data; all-zero is a valid value.
            names: unsafe { std::mem::zeroed() },
            lengths: [0; RECEIVE_BATCH],
        }
    }

    /// The datagram at `index` of the last batch, and where it came from; `None` for an unknown address family.
    pub(crate) fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let storage = self.names[index];
        let length = match i32::from(storage.sin6_family) {
            libc::AF_INET => 16,
            libc::AF_INET6 => 28,
            _ => return None,
        };
        let from = RawAddress { storage, length }.address();
        Some((from, &mut self.bytes[index][..self.lengths[index]]))
    }
}

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub(crate) struct BatchSocket {
    socket: socket2::Socket,
    local: SocketAddr,
    segmentation: bool,
}

impl BatchSocket {
    /// Binds a socket; port 0 takes any.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        enlarge_buffers(socket.as_raw_fd());
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { socket, local, segmentation: true })
    }

    /// A second handle of the same socket, to send through it from another worker.
    pub(crate) fn share(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, local: self.local, segmentation: self.segmentation })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn descriptor(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        matches!(self.local.ip(), IpAddr::V4(_))
    }

    /// Whether several datagrams may share one message.
    pub(crate) fn segments(&self) -> bool {
        self.segmentation
    }

    /// Never hands segmented messages to this socket again.
    pub(crate) fn disable_segmentation(&mut self) {
        self.segmentation = false;
    }

    /// Sends one datagram outside any batch.
    pub(crate) fn send_one(&self, to: SocketAddr, datagram: &[u8]) {
        // A lost start-up request is repeated by its caller.
        let _ = self.socket.send_to(datagram, &to.into());
    }

    /// Reads a batch; returns how many datagrams came.
    pub(crate) fn receive(&self, buffers: &mut ReceiveBuffers) -> usize {
        // SAFETY: every pointer below points into `buffers`, which outlives the call and is not touched meanwhile;
        // lengths given to the kernel are those of the pointed-to arrays.
        unsafe {
            let mut vectors: [libc::iovec; RECEIVE_BATCH] = std::mem::zeroed();
            let mut headers: [libc::mmsghdr; RECEIVE_BATCH] = std::mem::zeroed();
            for index in 0..RECEIVE_BATCH {
                vectors[index].iov_base = buffers.bytes[index].as_mut_ptr().cast();
                vectors[index].iov_len = DATAGRAM_BYTES_MAX;
                let header = &mut headers[index].msg_hdr;
                header.msg_iov = &raw mut vectors[index];
                header.msg_iovlen = 1;
                header.msg_name = (&raw mut buffers.names[index]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in6>() as u32;
            }
            let count = libc::recvmmsg(
                self.descriptor(),
                headers.as_mut_ptr(),
                RECEIVE_BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            );
            let count = usize::try_from(count).unwrap_or(0);
            for (index, header) in headers.iter().enumerate().take(count) {
                buffers.lengths[index] = (header.msg_len as usize).min(DATAGRAM_BYTES_MAX);
            }
            count
        }
    }

    /// Sends messages whose bytes lie in `arena`, at most [`SEND_BATCH`] per system call.
    pub(crate) fn send(&self, arena: &mut [u8], messages: &mut [Message]) -> SendOutcome {
        let count = messages.len().min(SEND_BATCH);
        let batch = &mut messages[..count];
        // SAFETY: iovecs point into `arena` at ranges checked by the slice below, names into `batch`, control blocks
        // into a local array; all outlive the call. Control blocks are 24 bytes, CMSG_SPACE(2) on 64-bit Linux.
        unsafe {
            let mut vectors: [libc::iovec; SEND_BATCH] = std::mem::zeroed();
            let mut headers: [libc::mmsghdr; SEND_BATCH] = std::mem::zeroed();
            let mut controls: [[u64; 3]; SEND_BATCH] = [[0; 3]; SEND_BATCH];
            for (index, message) in batch.iter_mut().enumerate() {
                let bytes = &mut arena[message.offset..message.offset + message.length];
                vectors[index].iov_base = bytes.as_mut_ptr().cast();
                vectors[index].iov_len = bytes.len();
                let header = &mut headers[index].msg_hdr;
                header.msg_iov = &raw mut vectors[index];
                header.msg_iovlen = 1;
                header.msg_name = (&raw mut message.to.storage).cast();
                header.msg_namelen = u32::from(message.to.length);
                if message.count > 1 {
                    let control: *mut libc::cmsghdr = (&raw mut controls[index]).cast();
                    header.msg_control = control.cast();
                    header.msg_controllen = libc::CMSG_SPACE(2) as usize;
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as usize;
                    libc::CMSG_DATA(control).cast::<u16>().write_unaligned(message.segment as u16);
                }
            }
            let sent = libc::sendmmsg(self.descriptor(), headers.as_mut_ptr(), batch.len() as u32, 0);
            if sent > 0 {
                return SendOutcome { sent: sent as usize, segmentation_refused: false };
            }
            let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            let refused = batch.first().is_some_and(|message| message.count > 1)
                && matches!(error, libc::EINVAL | libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT);
            SendOutcome { sent: 0, segmentation_refused: refused }
        }
    }
}

fn enlarge_buffers(descriptor: i32) {
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        for option in [plain, forced] {
            // SAFETY: the option value is a four-byte integer, as both options demand. Failure of the forced form
            // (no CAP_NET_ADMIN) leaves the capped size of the plain form.
            unsafe {
                libc::setsockopt(
                    descriptor,
                    libc::SOL_SOCKET,
                    option,
                    (&raw const SOCKET_BUFFER_BYTES).cast(),
                    size_of::<i32>() as u32,
                );
            }
        }
    }
}

/// Sleeps until a descriptor is readable or the time is over.
pub(crate) fn wait_readable(descriptors: &mut [libc::pollfd], wait: std::time::Duration) {
    let wait =
        libc::timespec { tv_sec: wait.as_secs() as libc::time_t, tv_nsec: libc::c_long::from(wait.subsec_nanos() as i32) };
    // SAFETY: the slice gives pointer and count; ppoll writes only `revents` of its entries.
    unsafe { libc::ppoll(descriptors.as_mut_ptr(), descriptors.len() as u64, &raw const wait, std::ptr::null()) };
}

/// A poll entry that waits for reading.
pub(crate) fn readable(descriptor: i32) -> libc::pollfd {
    libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernel_form() {
        for text in ["127.0.0.1:7882", "[::1]:7882", "[2001:db8::7]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::new(address).address(), address);
        }
    }

    #[test]
    fn segments_arrive_as_single_datagrams() {
        let sender = BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let receiver = BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut arena = vec![7_u8; 250];
        let mut messages =
            [Message { to: RawAddress::new(receiver.local()), offset: 0, length: 250, segment: 100, count: 3 }];
        assert_eq!(sender.send(&mut arena, &mut messages).sent, 1);
        let mut buffers = ReceiveBuffers::new();
        wait_readable(&mut [readable(receiver.descriptor())], std::time::Duration::from_secs(5));
        let count = receiver.receive(&mut buffers);
        let lengths: Vec<usize> = (0..count).map(|index| buffers.datagram(index).unwrap().1.len()).collect();
        assert_eq!(lengths, [100, 100, 50]);
        assert_eq!(buffers.datagram(0).unwrap().0, sender.local());
    }
}
