//! A connection that this side can end: its reading half reports the end of the stream when the closer is dropped,
//! and ractor's session ends by itself.

use ractor_cluster::{BoxRead, BoxWrite};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Ends the connection when it is dropped.
#[derive(Debug)]
pub(crate) struct Closer(#[expect(dead_code, reason = "its drop is the message")] oneshot::Sender<()>);

/// The other end of a [`Closer`].
pub(crate) type Closed = oneshot::Receiver<()>;

/// A closer and what it closes.
pub(crate) fn pair() -> (Closer, Closed) {
    let (sender, closed) = oneshot::channel();
    (Closer(sender), closed)
}

/// Both halves of a stream; reading ends with the closer.
pub(crate) fn split(stream: impl AsyncRead + AsyncWrite + Send + 'static, closed: Closed) -> (BoxRead, BoxWrite) {
    let (read, write) = tokio::io::split(stream);
    (Box::new(ClosableRead { read, closed }), Box::new(write))
}

struct ClosableRead<R> {
    read: R,
    closed: Closed,
}

impl<R: AsyncRead + Unpin> AsyncRead for ClosableRead<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed.is_terminated() || Pin::new(&mut self.closed).poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn reading_ends_when_the_closer_is_dropped() {
        let (near, mut far) = tokio::io::duplex(64);
        let (closer, closed) = pair();
        let (mut read, _write) = split(near, closed);
        far.write_all(b"ab").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read.read(&mut buffer).await.unwrap(), 2);
        let waiting = tokio::spawn(async move {
            let first = read.read(&mut [0; 8]).await.unwrap();
            (first, read.read(&mut [0; 8]).await.unwrap())
        });
        drop(closer);
        assert_eq!(waiting.await.unwrap(), (0, 0));
    }
}
