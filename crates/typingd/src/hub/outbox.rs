//! Bytes on their way to one subscriber: written at once where its socket takes them, and in one go once it does again.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rustix::net::{SendFlags, send};
use tokio::net::TcpStream;

/// How many pieces one write takes.
const SLICES: usize = 64;

#[derive(Default)]
pub(super) struct Outbox {
    /// A bare socket, to which whoever has something writes it.
    socket: Option<Arc<TcpStream>>,
    waiting: VecDeque<Bytes>,
    /// Whether a part of the first piece has gone.
    is_begun: bool,
    /// Whether the socket takes nothing for now.
    is_stuck: bool,
    /// Whether nothing gets there any more.
    is_broken: bool,
}

impl Outbox {
    pub(super) fn connect(&mut self, socket: Option<Arc<TcpStream>>) {
        self.socket = socket;
    }

    /// How many pieces wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Puts a piece behind all others.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !self.is_broken {
            self.waiting.push_back(piece);
        }
    }

    /// Sends a piece, at once where none waits and the socket takes it.
    pub(super) fn send(&mut self, piece: &Bytes) {
        let socket = self.socket.as_ref().filter(|_| self.waiting.is_empty() && !self.is_broken);
        let Some(socket) = socket else { return self.push(piece.clone()) };
        // The system says whether it takes it. What the runtime knows of that lies in memory which nothing else here needs.
        match send(socket, piece, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map_err(io::Error::from) {
            Ok(written) if written == piece.len() => {}
            Ok(written) => {
                self.waiting.push_back(piece.slice(written..));
                self.is_begun |= written > 0;
                self.is_stuck = true;
            }
            Err(error) => {
                self.waiting.push_back(piece.clone());
                self.fail(&error);
            }
        }
    }

    /// Sends what waits, in as few writes as can be, as far as the socket takes it. Without a bare socket it goes on waiting.
    pub(super) fn flush(&mut self) {
        while !self.is_stuck && !self.waiting.is_empty() {
            let Some(socket) = self.socket.clone() else { return };
            let written = self.write(|slices| socket.try_write_vectored(slices));
            if let Err(error) = written {
                self.fail(&error);
            }
        }
    }

    /// The socket takes something again.
    pub(super) fn unstick(&mut self) {
        self.is_stuck = false;
    }

    /// Offers the pieces that wait, in their order, and notes how many bytes were taken.
    pub(super) fn write<T: Taken>(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.waiting.len().min(SLICES);
        for (slice, piece) in slices.iter_mut().zip(&self.waiting) {
            *slice = IoSlice::new(piece);
        }
        let taken = write(&slices[..count]);
        self.advance(taken.count());
        taken
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.waiting.front_mut() {
            if first.len() > written {
                first.advance(written);
                self.is_begun |= written > 0;
                return;
            }
            written -= first.len();
            self.waiting.pop_front();
            self.is_begun = false;
        }
        // Most have nothing that waits, and keep no room for it.
        self.waiting = VecDeque::new();
    }

    fn fail(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.is_stuck = true;
        } else {
            self.break_off();
        }
    }

    /// Nothing gets there any more.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
        self.waiting = VecDeque::new();
    }

    /// Forgets what waits, but for the rest of a piece that was begun.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.truncate(usize::from(self.is_begun));
    }
}

/// What came of a write.
pub(super) trait Taken {
    fn count(&self) -> usize;
}

impl Taken for io::Result<usize> {
    fn count(&self) -> usize {
        *self.as_ref().unwrap_or(&0)
    }
}

impl Taken for std::task::Poll<io::Result<usize>> {
    fn count(&self) -> usize {
        match self {
            Self::Ready(written) => written.count(),
            Self::Pending => 0,
        }
    }
}
