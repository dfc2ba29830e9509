//! Those who read beside those who take nothing.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use socket2::{Domain, Socket, Type};

use super::crowd::Crowd;
use super::one_by_one;
use super::signals::Signals;
use crate::gateway::{self, KEY, Settings};
use crate::sections::Effort;
use crate::server::Server;
use crate::stats::{median, median_ratio, number};
use crate::table::Table;

/// Good subscribers, and as many that take nothing.
const BESIDE: usize = 1_000;

/// How many leases a snapshot has that is alone more than the kernel holds for somebody who does not read.
const CLOGGING: usize = 500;

/// How long a turn beside those takes: all of them together less than a write may.
const CLOGGED: Duration = Duration::from_millis(400);

/// How long the gateway does nothing more of its own before it is measured.
const QUIET: Duration = Duration::from_millis(200);

/// A thousand who read, at a gateway of their own and beside a thousand who do not.
pub(super) fn run(effort: Effort) -> Result<String> {
    let mut alone = Watched::start("fanout-alone")?;
    let mut beside = Watched::start("fanout-stalled")?;
    beside.signals.clog(CLOGGING)?;
    let stalled: Vec<TcpStream> =
        (0..BESIDE).map(|_| stall(beside.gateway.address)).collect::<Result<_>>()?;
    // Their snapshots are made first.
    let mut cpu = beside.gateway.cpu();
    loop {
        std::thread::sleep(QUIET);
        if beside.gateway.cpu() - cpu < QUIET / 20 {
            break;
        }
        cpu = beside.gateway.cpu();
    }
    let (mut rates, mut times) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..effort.rounds {
        for (at, watched) in [&mut alone, &mut beside].into_iter().enumerate() {
            let (rate, ms) = watched.turn(CLOGGED)?;
            rates[at].push(rate);
            times[at].push(ms);
        }
    }
    drop(stalled);
    let ratio = median_ratio(&rates[1], &rates[0]);
    let mut table = Table::new(&["1,000 streams", "deliveries per CPU-s", "until the last has it, ms"]);
    for (name, rates, times) in
        [("alone", &rates[0], &times[0]), ("beside 1,000 that take nothing", &rates[1], &times[1])]
    {
        table.row([name.to_owned(), number(median(rates.clone())), number(median(times.clone()))]);
    }
    Ok(format!(
        "And beside those who take nothing of what they ask for, {} of the rate alone:\n\n{table}",
        number(ratio)
    ))
}

/// A gateway at which many watch one agent.
struct Watched {
    gateway: Server,
    crowd: Crowd,
    signals: Signals,
}

impl Watched {
    fn start(name: &str) -> Result<Self> {
        let gateway = gateway::start(name, &Settings::default())?;
        let crowd = Crowd::gather("stream", gateway.address, BESIDE, "?agent=watched")?;
        let signals = Signals::connect(gateway.address)?;
        Ok(Self { gateway, crowd, signals })
    }

    fn turn(&mut self, turn: Duration) -> Result<(f64, f64)> {
        let Self { gateway, crowd, signals } = self;
        one_by_one::turn(gateway, BESIDE, turn, || {
            signals.change()?;
            crowd.expect(1)
        })
    }
}

/// A subscriber to everything that reads nothing, and for whom the kernel holds little.
fn stall(address: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4_096)?;
    socket.set_tcp_mss(536)?;
    socket.connect(&address.into())?;
    let mut socket = TcpStream::from(socket);
    let request = format!("GET /typing/v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    Ok(socket)
}
