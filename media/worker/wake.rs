//! Wakes a worker that sleeps in `poll`: an eventfd (Linux).
#![expect(unsafe_code, reason = "eventfd has no safe wrapper in libc")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Wakes one worker; cloned into everything that puts work into its queues.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    descriptor: Arc<OwnedFd>,
}

impl Waker {
    /// Makes the eventfd.
    pub(crate) fn new() -> std::io::Result<Self> {
        // SAFETY: eventfd takes no pointers; the result is checked before it is owned.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open and owned by nobody else.
        let descriptor = Arc::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
        Ok(Self { descriptor })
    }

    /// The descriptor to poll for reading.
    pub(crate) fn descriptor(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }

    /// Makes the descriptor readable; never blocks.
    pub(crate) fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the buffer is eight readable bytes, as eventfd demands.
        unsafe { libc::write(self.descriptor.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes the descriptor unreadable again.
    pub(crate) fn reset(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer is eight writable bytes, as eventfd demands.
        unsafe { libc::read(self.descriptor.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
