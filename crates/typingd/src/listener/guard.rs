//! What stands between hyper and a socket: deadlines for reading and writing, and an eye on each request's head.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Limits;
use super::connection::{Connection, Phase};
use super::deadline::Deadline;
use super::framing::HeadWatch;

/// A socket that fails with [`io::ErrorKind::TimedOut`] when its peer is too slow.
pub(super) struct Guarded<IO> {
    socket: IO,
    connection: Connection,
    watch: HeadWatch,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Runs while a head is awaited or the connection is idle, for the epoch beside it.
    read_deadline: Deadline,
    read_epoch: u64,
    /// Runs while the peer takes nothing.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

impl<IO> Guarded<IO> {
    pub(super) fn new(socket: IO, connection: Connection, limits: &Limits) -> Self {
        Self {
            socket,
            connection,
            watch: HeadWatch::default(),
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            read_deadline: Deadline::after(limits.head_timeout),
            read_epoch: 0,
            write_deadline: None,
        }
    }

    /// The socket, which nothing stands before any more.
    pub(super) fn into_socket(self) -> IO {
        self.socket
    }

    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (phase, epoch) = {
            let state = self.connection.lock();
            (state.phase, state.epoch)
        };
        let timeout = match phase {
            Phase::Serving | Phase::HandedOver => return Poll::Pending,
            Phase::Head => self.head_timeout,
            Phase::Idle => self.idle_timeout,
        };
        if self.read_epoch != epoch {
            self.read_epoch = epoch;
            self.read_deadline.move_to(timeout);
        }
        self.read_deadline.poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn guard_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let timeout = self.write_timeout;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Ready(read) => {
                let this = &mut *self;
                this.connection.lock().note_read(&buf.filled()[before..], &mut this.watch);
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_read_deadline(cx).map(Err),
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.guard_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.guard_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // After an answer hyper may not come to read before something wakes it: the deadline is what does.
        let _ = self.poll_read_deadline(cx);
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        // hyper asks for it when it has written all that it had.
        self.connection.lock().note_flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
