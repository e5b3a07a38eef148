//! Batched UDP and CPU affinity: the only file of the benchmark that calls the C library.
#![expect(unsafe_code, reason = "sendmmsg, recvmmsg, ppoll, UDP_SEGMENT and sched_setaffinity have no safe wrapper")]

use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

/// Datagrams of one `recvmmsg`.
pub(crate) const RECEIVE_BATCH: usize = 64;
/// Longest datagram that is received whole.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Messages of one `sendmmsg`.
const MESSAGES_MAX: usize = 64;
/// Segments of one GSO message (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 64;
/// Bytes of one GSO message, below the 65 507 of an IPv4 datagram.
const MESSAGE_BYTES_MAX: usize = 65_000;
/// Socket buffers, so that the kernel's queue is not what is measured.
const SOCKET_BUFFER_BYTES: i32 = 8 << 20;

/// Pins this process and all of its future threads to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    // SAFETY: the set lives over the call and its size is told.
    let result = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for large socket buffers; without CAP_NET_ADMIN the system's limit holds.
pub(crate) fn enlarge_buffers(socket: &UdpSocket) {
    let size = SOCKET_BUFFER_BYTES;
    for option in [libc::SO_RCVBUF, libc::SO_SNDBUF, libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // SAFETY: the value lives over the call and its length is told; refusal is harmless.
        unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const size).cast(), 4);
        }
    }
}

/// Many sockets to wait for.
#[derive(Default)]
pub(crate) struct Waiter {
    entries: Vec<libc::pollfd>,
}

impl Waiter {
    pub(crate) fn add(&mut self, socket: &UdpSocket) {
        self.entries.push(libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    }

    /// Waits until a socket is readable or the time is over.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        let time = libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // SAFETY: the entries live over the call and their number is told.
        unsafe {
            libc::ppoll(self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t, &raw const time, ptr::null());
        }
    }

    pub(crate) fn is_readable(&self, index: usize) -> bool {
        self.entries[index].revents & libc::POLLIN != 0
    }
}

fn to_name(address: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(address) = address else { unreachable!("the benchmark binds IPv4 loopback only") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn from_name(name: &libc::sockaddr_in) -> SocketAddr {
    let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
    SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(name.sin_port)))
}

/// Buffers of one `recvmmsg`.
pub(crate) struct ReceiveBatch {
    buffers: Vec<[u8; DATAGRAM_BYTES_MAX]>,
    names: Vec<libc::sockaddr_in>,
    lengths: [usize; RECEIVE_BATCH],
}

impl ReceiveBatch {
    pub(crate) fn new() -> Self {
        // SAFETY: all zeroes is a valid sockaddr_in.
        let name = unsafe { zeroed() };
        Self {
            buffers: vec![[0; DATAGRAM_BYTES_MAX]; RECEIVE_BATCH],
            names: vec![name; RECEIVE_BATCH],
            lengths: [0; RECEIVE_BATCH],
        }
    }

    /// Receives what waits, at most `bytes_max` of each datagram; returns the number of datagrams.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, bytes_max: usize) -> usize {
        // SAFETY: every pointer leads into `self` or this frame, and both outlive the call.
        unsafe {
            let mut vectors: [libc::iovec; RECEIVE_BATCH] = zeroed();
            let mut messages: [libc::mmsghdr; RECEIVE_BATCH] = zeroed();
            for index in 0..RECEIVE_BATCH {
                vectors[index].iov_base = self.buffers[index].as_mut_ptr().cast();
                vectors[index].iov_len = bytes_max.min(DATAGRAM_BYTES_MAX);
                let header = &mut messages[index].msg_hdr;
                header.msg_iov = &raw mut vectors[index];
                header.msg_iovlen = 1;
                header.msg_name = (&raw mut self.names[index]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            let fd = socket.as_raw_fd();
            let limit = RECEIVE_BATCH as libc::c_uint;
            let count = libc::recvmmsg(fd, messages.as_mut_ptr(), limit, libc::MSG_DONTWAIT, ptr::null_mut());
            let count = usize::try_from(count).unwrap_or(0);
            for (length, message) in self.lengths.iter_mut().zip(&messages[..count]) {
                *length = message.msg_len as usize;
            }
            count
        }
    }

    /// A received datagram and where it came from.
    pub(crate) fn get(&self, index: usize) -> (&[u8], SocketAddr) {
        (&self.buffers[index][..self.lengths[index]], from_name(&self.names[index]))
    }
}

/// Datagrams that go out together, those of one destination as one GSO message.
pub(crate) struct GsoBatch<B> {
    queue: Vec<(u32, SocketAddr, B)>,
}

/// Consecutive datagrams of one destination: equal sizes, only the last may be shorter.
struct Run {
    start: usize,
    count: usize,
    segment: u16,
}

impl<B: Deref<Target = [u8]>> GsoBatch<B> {
    pub(crate) fn new() -> Self {
        Self { queue: Vec::with_capacity(4096) }
    }

    pub(crate) fn push(&mut self, destination_key: u32, to: SocketAddr, datagram: B) {
        self.queue.push((destination_key, to, datagram));
    }

    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        self.queue.sort_by_key(|entry| entry.0);
        let runs = self.runs();
        for chunk in runs.chunks(MESSAGES_MAX) {
            self.send(socket, chunk);
        }
        self.queue.clear();
    }

    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(self.queue.len() / 2);
        let (mut bytes, mut closed) = (0, true);
        for (index, (key, _, datagram)) in self.queue.iter().enumerate() {
            let length = datagram.len();
            if let Some(run) = runs.last_mut().filter(|run| {
                !closed
                    && self.queue[run.start].0 == *key
                    && length <= usize::from(run.segment)
                    && run.count < SEGMENTS_MAX
                    && bytes + length <= MESSAGE_BYTES_MAX
            }) {
                run.count += 1;
                bytes += length;
                closed = length < usize::from(run.segment);
            } else {
                runs.push(Run { start: index, count: 1, segment: u16::try_from(length).unwrap_or(u16::MAX) });
                (bytes, closed) = (length, false);
            }
        }
        runs
    }

    fn send(&mut self, socket: &UdpSocket, runs: &[Run]) {
        let segments = runs.iter().map(|run| run.count).sum();
        let mut vectors: Vec<libc::iovec> = Vec::with_capacity(segments);
        // SAFETY: every pointer leads into the queue, `vectors` (never grown beyond its capacity) or this frame, and
        // all of them outlive the calls; the control buffer is large and aligned enough for one cmsghdr of two bytes.
        unsafe {
            let mut names: [libc::sockaddr_in; MESSAGES_MAX] = zeroed();
            let mut messages: [libc::mmsghdr; MESSAGES_MAX] = zeroed();
            let mut controls: [[u64; 3]; MESSAGES_MAX] = [[0; 3]; MESSAGES_MAX];
            for (index, run) in runs.iter().enumerate() {
                let first_vector = vectors.len();
                for (_, _, datagram) in &self.queue[run.start..run.start + run.count] {
                    vectors
                        .push(libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() });
                }
                names[index] = to_name(self.queue[run.start].1);
                let header = &mut messages[index].msg_hdr;
                header.msg_iov = vectors.as_mut_ptr().add(first_vector);
                header.msg_iovlen = run.count;
                header.msg_name = (&raw mut names[index]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                if run.count > 1 {
                    let control: *mut libc::cmsghdr = (&raw mut controls[index]).cast();
                    header.msg_control = control.cast();
                    header.msg_controllen = libc::CMSG_SPACE(2) as usize;
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as usize;
                    libc::CMSG_DATA(control).cast::<u16>().write_unaligned(run.segment);
                }
            }
            let mut sent = 0;
            while sent < runs.len() {
                let left = (runs.len() - sent) as libc::c_uint;
                let count = libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr().add(sent), left, 0);
                match usize::try_from(count) {
                    Ok(count) if count > 0 => sent += count,
                    _ => {
                        // Shows as loss.
                        sent += 1;
                    }
                }
            }
        }
    }
}
