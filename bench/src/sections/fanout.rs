//! One change to a thousand and to ten thousand subscribers, beside a process that only calls `write()`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

use super::Effort;
use crate::gateway::{self, KEY, Settings};
use crate::plot::{self, Bar};
use crate::server::{self, Server};
use crate::stats::{median, median_ratio, number};
use crate::table::Table;

/// Subscribers for whom changes pile up, and how many changes do.
const BACKLOG: (usize, usize) = (1_000, 400);

/// Good subscribers, and as many that take nothing.
const BESIDE: usize = 1_000;

/// How many leases a snapshot has that is alone more than the kernel holds for somebody who does not read.
const CLOGGING: usize = 500;

/// How long a turn beside those takes: all of them together less than a write may.
const CLOGGED: Duration = Duration::from_millis(400);

/// How long the gateway does nothing more of its own before it is measured.
const QUIET: Duration = Duration::from_millis(200);

pub(super) fn run(effort: Effort) -> Result<String> {
    let is_quick = effort.rounds == 1;
    let counts: &[usize] = if is_quick { &[1_000] } else { &[1_000, 10_000] };
    let mut table = Table::new(&[
        "one change to",
        "deliveries per CPU-s",
        "bare `write()`",
        "ratio",
        "until the last has it, ms",
        "of the limit's, ms",
    ]);
    let mut memory =
        Table::new(&["idle subscribers", "resident bytes each", "kernel memory each, both ends"]);
    let mut bars = Vec::new();
    for &count in counts {
        for kind in ["stream", "socket"] {
            let Compared { ours, limit, ours_ms, limit_ms, resident, kernel } = compare(kind, count, effort)?;
            let (mine, bare) = (median(ours.clone()), median(limit.clone()));
            table.row([
                format!("{} {}", number(count as f64), name(kind)),
                number(mine),
                number(bare),
                format!("**{}**", number(median_ratio(&ours, &limit))),
                number(median(ours_ms)),
                number(median(limit_ms)),
            ]);
            memory.row([
                format!("{} {}", number(count as f64), name(kind)),
                number(resident),
                number(kernel),
            ]);
            bars.push(Bar {
                name: format!("{} {}", number(count as f64), name(kind)),
                value: mine,
                is_ours: true,
            });
            bars.push(Bar {
                name: format!("bare write(), {} {}", number(count as f64), name(kind)),
                value: bare,
                is_ours: false,
            });
        }
    }
    let mut piled = Table::new(&[
        "what is told",
        "one by one",
        "changes faster than they are told",
        "taken up after a pause",
    ]);
    for kind in ["stream", "socket"] {
        let Piled { single, burst, pause } = pile_up(kind, effort)?;
        piled.row([
            format!("{} {}, per CPU-s", number(BACKLOG.0 as f64), name(kind)),
            number(median(single.clone())),
            format!("{}, {} times", number(median(burst.clone())), number(median_ratio(&burst, &single))),
            format!("{}, {} times", number(median(pause.clone())), number(median_ratio(&pause, &single))),
        ]);
    }
    let beside = beside_stalled(effort)?;
    let plot = if is_quick {
        String::new()
    } else {
        plot::bars("fanout", "Fan-out", "deliveries per second of server CPU", &bars)?
    };
    Ok(format!(
        "One change at a time, which everybody has before the next one comes; the limit writes as many bytes to as many \
         sockets. All that was expected came, once and in order, or the run had failed.\n\n{table}\n{plot}\n\
         What a subscriber costs that is told nothing, beyond a gateway without any:\n\n{memory}\n\
         Where changes come faster than they can be told, they go out together. Above, {} changes came at once, or while \
         nobody read:\n\n{piled}\n{beside}\n\
         All of it is HTTP/1.1. The gateway speaks no HTTP/2 to its callers, so that there is nothing to measure of it.\n",
        BACKLOG.1,
    ))
}

fn name(kind: &str) -> &str {
    if kind == "stream" { "streams" } else { "WebSockets" }
}

struct Compared {
    ours: Vec<f64>,
    limit: Vec<f64>,
    ours_ms: Vec<f64>,
    limit_ms: Vec<f64>,
    resident: f64,
    kernel: f64,
}

fn compare(kind: &str, count: usize, effort: Effort) -> Result<Compared> {
    let gateway = gateway::start("fanout", &Settings::default())?;
    // What the first of all costs is not what one more does.
    drop(Crowd::gather(kind, gateway.address, 50, "")?);
    std::thread::sleep(Duration::from_secs(1));
    let (before, slab) = (gateway.resident(), slab());
    let mut crowd = Crowd::gather(kind, gateway.address, count, "")?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = (gateway.resident() as f64 - before as f64) / count as f64;
    let kernel = (self::slab() - slab) / count as f64;
    let mut signals = Signals::connect(gateway.address)?;

    // The limit writes what we write.
    signals.change()?;
    let start = crowd.expect(1)?;
    signals.change()?;
    let size = usize::midpoint(start / count, crowd.expect(1)? / count);
    let address = server::free_address()?;
    let limit = Server::start(
        "fanout-limit",
        Command::new(server::program("fanout")?).args(["limit", &address.to_string()]),
        address,
    )?;
    let mut bare = Crowd::gather(&size.to_string(), address, count, "")?;
    let mut orders = TcpStream::connect(address)?;
    orders.set_nodelay(true)?;
    orders.write_all(b"boss")?;

    let mut compared =
        Compared { ours: vec![], limit: vec![], ours_ms: vec![], limit_ms: vec![], resident, kernel };
    for _ in 0..effort.rounds {
        let (rate, ms) = turn(&gateway, count, effort.turn, || {
            signals.change()?;
            crowd.expect(1)
        })?;
        compared.ours.push(rate);
        compared.ours_ms.push(ms);
        let (rate, ms) = turn(&limit, count, effort.turn, || {
            orders.write_all(&u32::try_from(size)?.to_be_bytes())?;
            orders.read_exact(&mut [0])?;
            bare.expect(1)
        })?;
        compared.limit.push(rate);
        compared.limit_ms.push(ms);
    }
    Ok(compared)
}

/// Deliveries per second of a server's CPU, and the median of the milliseconds that one change takes.
fn turn<T>(
    server: &Server,
    count: usize,
    turn: Duration,
    mut change: impl FnMut() -> Result<T>,
) -> Result<(f64, f64)> {
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut took = Vec::new();
    while begun.elapsed() < turn {
        let asked = Instant::now();
        change()?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    let cpu = (server.cpu() - cpu).as_secs_f64();
    Ok(((took.len() * count) as f64 / cpu, median(took)))
}

struct Piled {
    single: Vec<f64>,
    burst: Vec<f64>,
    pause: Vec<f64>,
}

fn pile_up(kind: &str, effort: Effort) -> Result<Piled> {
    let (count, changes) = BACKLOG;
    let gateway = gateway::start("fanout-backlog", &Settings::default())?;
    let mut crowd = Crowd::gather(kind, gateway.address, count, "")?;
    let mut signals = Signals::connect(gateway.address)?;
    let mut piled = Piled { single: vec![], burst: vec![], pause: vec![] };
    for _ in 0..effort.rounds {
        let (rate, _) = turn(&gateway, count, effort.turn, || {
            signals.change()?;
            crowd.expect(1)
        })?;
        piled.single.push(rate);
        for (is_paused, rates) in [(false, &mut piled.burst), (true, &mut piled.pause)] {
            let cpu = gateway.cpu();
            if is_paused {
                crowd.order("deaf")?;
            }
            signals.change_often(changes)?;
            if is_paused {
                crowd.order("hear")?;
            }
            crowd.expect(changes)?;
            rates.push((count * changes) as f64 / (gateway.cpu() - cpu).as_secs_f64());
        }
    }
    Ok(piled)
}

/// A thousand who read, at a gateway of their own and beside a thousand who do not.
fn beside_stalled(effort: Effort) -> Result<String> {
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
        self::turn(gateway, BESIDE, turn, || {
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

/// Causes changes, on a connection that is kept.
struct Signals {
    stream: BufReader<TcpStream>,
    is_on: bool,
}

impl Signals {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), is_on: false })
    }

    /// A start where nobody types, an end where somebody does.
    fn next(&mut self) -> Vec<u8> {
        self.is_on = !self.is_on;
        request("watched", 0, if self.is_on { "composing" } else { "sent" })
    }

    fn change(&mut self) -> Result<()> {
        self.change_often(1)
    }

    /// All at once, as fast as they are taken.
    fn change_often(&mut self, count: usize) -> Result<()> {
        let requests: Vec<Vec<u8>> = (0..count).map(|_| self.next()).collect();
        self.send(requests)
    }

    /// Lets so many others type.
    fn clog(&mut self, count: usize) -> Result<()> {
        self.send((0..count).map(|user| request("elsewhere", user, "composing")))
    }

    fn send(&mut self, requests: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        let requests: Vec<Vec<u8>> = requests.into_iter().collect();
        // As many as the gateway takes in one piece, so that it never waits for us.
        for requests in requests.chunks(16) {
            self.stream.get_mut().write_all(&requests.concat())?;
            for _ in requests {
                self.answer()?;
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            bail!("refused: {line}");
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        Ok(())
    }
}

fn request(agent: &str, user: usize, state: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"channel":"pinnacle","agent":"{agent}","user":"+1415{user:07}","composer":"user","state":"{state}","ttl_ms":60000}}"#
    );
    format!(
        "POST /typing/v1/signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Those who listen, in a process of their own.
struct Crowd {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Crowd {
    fn gather(kind: &str, address: SocketAddr, count: usize, scope: &str) -> Result<Self> {
        let mut process = Command::new(server::program("fanout")?)
            .args(["crowd", kind, &address.to_string(), &count.to_string(), KEY, scope])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().context("no pipe")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe")?);
        let mut crowd = Self { process, orders, answers };
        crowd.answer()?;
        Ok(crowd)
    }

    fn order(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}")?;
        self.answer()
    }

    /// Waits until each has so many more; how many bytes that was, of all.
    fn expect(&mut self, count: usize) -> Result<usize> {
        Ok(self.order(&format!("expect {count}"))?.parse()?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the crowd has gone: {}", self.process.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the kernel keeps in its caches, in bytes.
fn slab() -> f64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = memory.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
