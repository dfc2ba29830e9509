//! Those who never read, beside one who does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use typingd::clock::Clock;

use super::client::{KEY, state, watch};
use super::program::{PATIENCE, Program, Setup, alone};
use crate::support::Wire;

const SLOW: usize = 200;
/// As many as the kernel's buffers and the gateway's queue cannot hold.
const MOST_CHANGES: usize = 60_000;

#[tokio::test]
async fn those_who_never_read_are_cut_and_nobody_else_notices() {
    let _turn = alone().await;
    let limits = "stream_backlog = 1024\nwrite_timeout_ms = 2000";
    let program = Program::start(Setup { name: "slow", limits, ..Setup::default() }).await;
    let at_rest = program.resident_mib();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(never_reads(&program).await);
    }
    let mut fast = watch(program.address, "").await;
    assert_eq!(fast.whats(1).await, ["snapshot"]);
    program.wait_for("typingd_subscribers", SLOW as f64 + 1.0).await;

    let clock = Clock::start();
    let mut wire = Wire::new(TcpStream::connect(program.address).await.unwrap());
    let agent = "a".repeat(200);
    let (mut most, mut changes, mut last) = (at_rest, 0, None);
    while program.metric("typingd_subscribers").await > 1.0 {
        assert!(changes < MOST_CHANGES, "they are still there");
        for _ in 0..100 {
            for said in ["composing", "sent"] {
                wire.send(&state(&agent, "+14155550123", said)).await;
                assert_eq!(wire.answer().await.unwrap().status, 200);
                let event = fast.next().await.unwrap();
                assert_eq!(event.name, if said == "sent" { "stopped" } else { "started" });
                let number: usize = event.id.rsplit('-').next().unwrap().parse().unwrap();
                assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
                last = Some(number);
                changes += 1;
            }
        }
        most = most.max(program.resident_mib());
    }
    println!(
        "{SLOW} slow ones were cut within {changes} changes, {:?}; the fast one got all; RSS {at_rest} MiB at rest, \
         {most} MiB at most",
        clock.elapsed()
    );
    assert!(most < 300);
    // Those two connections and nothing else is left.
    println!("their connections were gone {:?} later", program.wait_for("typingd_connections", 2.0).await);
    assert_eq!(program.metric("typingd_queue_drops_total").await as usize, SLOW);
    for mut socket in slow {
        let mut rest = Vec::new();
        // Where they are cut while bytes wait for them, the end may be a reset.
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the end, in time");
    }
}

/// A subscriber with little room, and no intention to read.
async fn never_reads(program: &Program) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(program.address).await.unwrap();
    let request = format!("GET /typing/v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}
