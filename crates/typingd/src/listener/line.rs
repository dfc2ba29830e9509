//! A connection that speaks HTTP no more, and all that is left of it.

use std::any::Any;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// A connection that was taken over.
pub struct Line {
    wire: Wire,
    /// What was read already, behind the last request. Mostly nothing was.
    read: Option<Box<Bytes>>,
    /// How long a peer may take nothing of what is written to it.
    pub write_timeout: Duration,
}

enum Wire {
    /// A bare socket, which others may write to as well.
    Tcp(Arc<TcpStream>),
    /// Anything else, as TLS is.
    Other(Box<dyn Other>),
}

trait Other: AsyncRead + AsyncWrite + Unpin + Send {}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Other for IO {}

impl Line {
    /// A line over `io`, of which this was `read` already.
    pub fn new<IO>(io: IO, read: Bytes, write_timeout: Duration) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut io = Some(io);
        let tcp = (&mut io as &mut dyn Any).downcast_mut::<Option<TcpStream>>().and_then(Option::take);
        let wire = match (tcp, io) {
            (Some(tcp), _) => Wire::Tcp(Arc::new(tcp)),
            (None, io) => Wire::Other(Box::new(io.expect("it was not taken out"))),
        };
        // A copy, so that nothing keeps the buffer of which it is a part.
        let read = (!read.is_empty()).then(|| Box::new(Bytes::copy_from_slice(&read)));
        Self { wire, read, write_timeout }
    }

    /// The socket, where it can be written to by whoever has something for it.
    pub fn socket(&self) -> Option<&Arc<TcpStream>> {
        match &self.wire {
            Wire::Tcp(socket) => Some(socket),
            Wire::Other(_) => None,
        }
    }

    /// Reads up to so many bytes into the room behind what is there; none at the end.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        if let Some(read) = &mut self.read {
            let taken = read.split_to(limit.min(read.len()));
            into.extend_from_slice(&taken);
            if read.is_empty() {
                self.read = None;
            }
            return Poll::Ready(Ok(taken.len()));
        }
        // Nothing that lives as long as the connection has room for what it reads.
        let mut room = [0; 4096];
        let room = &mut room[..limit.min(4096)];
        let count = match &mut self.wire {
            Wire::Tcp(socket) => loop {
                ready!(socket.poll_read_ready(cx))?;
                match socket.try_read(room) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => break read?,
                }
            },
            Wire::Other(io) => {
                let mut read = ReadBuf::new(room);
                ready!(Pin::new(io).poll_read(cx, &mut read))?;
                read.filled().len()
            }
        };
        into.extend_from_slice(&room[..count]);
        Poll::Ready(Ok(count))
    }

    /// Waits until a bare socket takes something, or writes to any other.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Tcp(socket) => loop {
                ready!(socket.poll_write_ready(cx))?;
                match socket.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => return Poll::Ready(written),
                }
            },
            Wire::Other(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    /// Passes on what was written to anything but a bare socket.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Tcp(_) => Poll::Ready(Ok(())),
            Wire::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    /// Hangs up, once all that was written is on its way.
    pub async fn close(mut self) {
        let _ = match &mut self.wire {
            Wire::Tcp(socket) => match Arc::get_mut(socket) {
                Some(socket) => socket.shutdown().await,
                None => Ok(()),
            },
            Wire::Other(io) => io.shutdown().await,
        };
    }

    /// Waits until the peer has hung up, once it was told that nothing more comes.
    pub async fn hang_up(mut self) {
        let mut rest = [0; 1024];
        match &mut self.wire {
            Wire::Tcp(socket) => {
                let _ = match Arc::get_mut(socket) {
                    Some(socket) => socket.shutdown().await,
                    None => Ok(()),
                };
                // What was not read when a socket is closed makes the system throw away what was written last.
                while let Ok(1..) = read(socket, &mut rest).await {}
            }
            Wire::Other(io) => {
                let _ = io.shutdown().await;
                while let Ok(1..) = io.read(&mut rest).await {}
            }
        }
    }
}

async fn read(socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| {
        loop {
            ready!(socket.poll_read_ready(cx))?;
            match socket.try_read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    })
    .await
}
