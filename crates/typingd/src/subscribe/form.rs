//! How what is told goes over a connection: as the bytes of a stream, bare or in chunks, or as a socket's frames.

use bytes::{BufMut, Bytes, BytesMut};

use super::event::Text;

/// The form that a connection has for what is told over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Events as they are, up to the end of the connection, as HTTP/1.0 has a body without a length.
    Bare,
    /// Events in chunks.
    Chunks,
    /// The data of events in frames.
    Frames,
}

impl Form {
    /// An event, or what is one for a socket, in this form.
    #[must_use]
    pub fn dress(self, text: &Text) -> Bytes {
        match self {
            Self::Bare => text.event().clone(),
            Self::Chunks => chunk(text.event()),
            Self::Frames => frame(TEXT, &text.data()),
        }
    }

    /// Pieces of a stream as one.
    #[must_use]
    pub fn join(self, pieces: &[Bytes]) -> Bytes {
        let joined: Bytes = pieces.concat().into();
        match self {
            Self::Bare | Self::Frames => joined,
            Self::Chunks => chunk(&joined),
        }
    }
}

/// Behind the last chunk.
pub const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// Opcodes of frames, as in section 5.2 of RFC 6455.
pub const TEXT: u8 = 1;
/// The other side is to go.
pub const CLOSE: u8 = 8;
/// The other side is to answer.
pub const PING: u8 = 9;
/// The answer.
pub const PONG: u8 = 10;

/// A chunk of a body, as in section 7.1 of RFC 9112.
#[must_use]
pub fn chunk(bytes: &[u8]) -> Bytes {
    let mut chunk = format!("{:X}\r\n", bytes.len()).into_bytes();
    chunk.reserve_exact(bytes.len() + 2);
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// A whole frame as a server sends it.
#[must_use]
pub fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => frame.put_u8(short as u8),
        middle @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(middle as u16);
        }
        long => {
            frame.put_u8(127);
            frame.put_u64(long as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_length_in_as_few_bytes_as_may_be() {
        for (size, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (0xffff, &[0x81, 126, 0xff, 0xff]),
            (0x10000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = frame(TEXT, &vec![b'x'; size]);
            assert_eq!((&frame[..head.len()], frame.len()), (head, head.len() + size), "{size}");
        }
    }

    #[test]
    fn a_chunk_says_its_length_in_hexadecimal() {
        assert_eq!(chunk(&[b'x'; 26]), format!("1A\r\n{}\r\n", "x".repeat(26)));
    }
}
