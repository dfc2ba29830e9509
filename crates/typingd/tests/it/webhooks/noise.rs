//! Bytes of every kind, at every address.

use super::{
    CLIENT_TOKEN, GOOGLE, KALEYRA, PINNACLE, USER, WHSEC, call, composing, config, decide, google, kaleyra,
    pinnacle_event,
};
use crate::support::InProcess;

/// Numbers that come again with their seed (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    /// The same bytes with some of them changed, taken away or doubled.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_within(at..),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_is_answered_and_nothing_panics() {
    let mut config = config();
    config.limits.failed_authentications_per_minute = u32::MAX;
    let gateway = InProcess::with(config);
    let mut random = Random(1);
    let bodies = [
        composing(USER, "e1"),
        format!("[{},{}]", composing(USER, "e2"), composing("+12", "e3")),
        pinnacle_event("USER.TYPING", r#""startedAt":"2026-01-01T00:00:00Z","#),
        pinnacle_event("MESSAGE.RECEIVED", r#""message":{"id":"m"},"#),
        format!(r#"{{"clientToken":"{CLIENT_TOKEN}","secret":"s"}}"#),
        r#"{"message":{"data":"e30="}}"#.to_owned(),
    ];
    for round in 0..3_000 {
        let token = [KALEYRA, PINNACLE, GOOGLE][random.below(3)];
        let mut body = bodies[random.below(bodies.len())].clone().into_bytes();
        random.spoil(&mut body);
        let request = match random.below(4) {
            0 => {
                let noise: String =
                    random.bytes(40).iter().map(|byte| char::from(b'!' + byte % 94)).collect();
                call(&noise, WHSEC, "{}")
            }
            1 => {
                let head = format!("POST /webhooks/{token} HTTP/1.1\r\nHost: t\r\n{WHSEC}Content-Length: ");
                let noise = random.bytes(64);
                [head.as_bytes(), format!("{}\r\n\r\n", noise.len()).as_bytes(), &noise].concat()
            }
            2 => google(&String::from_utf8_lossy(&body)),
            _ => {
                let head = format!("POST /webhooks/{token} HTTP/1.1\r\nHost: t\r\n{WHSEC}Content-Length: ");
                [head.as_bytes(), format!("{}\r\n\r\n", body.len()).as_bytes(), &body].concat()
            }
        };
        let mut wire = gateway.connect();
        wire.send(&request).await;
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.status < 500, "{round}: {answer:?} to {}", String::from_utf8_lossy(&request));
    }
    let path = [b"POST /webhooks/".as_slice(), &random.bytes(64), b" HTTP/1.1\r\nHost: t\r\n\r\n"].concat();
    let mut wire = gateway.connect();
    wire.send(&path).await;
    drop(wire);
    assert_eq!(decide(&gateway, &kaleyra("+14155550199", "after")).await, "started");
}
