//! What some parts save that are there only for speed: rows of JSON without a parser, one task for a request through the gateway,
//! and connections that are kept. Their comments have the figures that this printed when they were last measured.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpListener as BlockingListener, TcpStream as BlockingStream};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use torso::hrana::entry::RowBuffer;
use torso::hrana::json::cursor::decode_entry;

/// Bytes of a message that is relayed, about those of a point read.
const MESSAGE: usize = 300;
const EXCHANGES: u32 = 5_000;
const ROWS: u32 = 200_000;

pub fn run(rounds: u64) -> io::Result<()> {
    let mut out = io::stdout();
    let plain: &[u8] = br#"{"type":"row","row":[{"type":"integer","value":"123456"},{"type":"text","value":"Amsterdam Airport Schiphol"},{"type":"float","value":52.30833},{"type":"null"}]}"#;
    // The blank makes it a line for the parser.
    let spaced = [&plain[..1], b" ", &plain[1..]].concat();
    let (mut fast, mut parsed) = (Vec::new(), Vec::new());
    let (mut one_task, mut many_tasks, mut connecting) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        fast.push(decode(plain)?);
        parsed.push(decode(&spaced)?);
        one_task.push(relay(&single()?, Relay::OneTask)?);
        many_tasks.push(relay(&multi()?, Relay::TaskForEachConnection)?);
        connecting.push(relay(&single()?, Relay::NewConnection)?);
    }
    writeln!(out, "row of JSON, without a parser:        {:>8.3} µs", median(fast))?;
    writeln!(out, "row of JSON, with serde_json:         {:>8.3} µs", median(parsed))?;
    writeln!(
        out,
        "exchange relayed by one task:         {:>8.1} µs",
        median(one_task)
    )?;
    writeln!(
        out,
        "exchange relayed by a task for each:  {:>8.1} µs",
        median(many_tasks)
    )?;
    writeln!(
        out,
        "exchange relayed by a new connection: {:>8.1} µs",
        median(connecting)
    )
}

fn median(mut micros: Vec<f64>) -> f64 {
    micros.sort_by(f64::total_cmp);
    micros[micros.len() / 2]
}

/// Decodes a row many times. Microseconds for each.
fn decode(line: &[u8]) -> io::Result<f64> {
    let mut row = RowBuffer::default();
    let begun = Instant::now();
    for _ in 0..ROWS {
        decode_entry(std::hint::black_box(line), &mut row).map_err(io::Error::other)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROWS))
}

fn single() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn multi() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

/// How a relay passes a message on to the process behind it.
#[derive(Clone, Copy)]
enum Relay {
    /// The client's task also drives the connection to the process, which is kept.
    OneTask,
    /// That connection is kept, and driven by a task of its own.
    TaskForEachConnection,
    /// As by one task, with a new connection for each message.
    NewConnection,
}

/// Sends messages through a relay to a process that returns them. Microseconds for each exchange.
fn relay(runtime: &Runtime, how: Relay) -> io::Result<f64> {
    let process = echo()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    let client = std::thread::spawn(move || exchange(address));
    runtime.block_on(async move {
        let (mut client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        match how {
            Relay::OneTask => {
                let mut process = connect(process).await?;
                pass_all(&mut client, async |message| ask(&mut process, message).await).await
            }
            Relay::TaskForEachConnection => {
                let requests = drive(connect(process).await?);
                let relayed = tokio::spawn(async move {
                    let mut message = [0; MESSAGE];
                    while client.read_exact(&mut message).await.is_ok() {
                        let (answer, answered) = oneshot::channel();
                        requests.send((message, answer)).await.map_err(io::Error::other)?;
                        client.write_all(&answered.await.map_err(io::Error::other)?).await?;
                    }
                    Ok(())
                });
                relayed.await.map_err(io::Error::other)?
            }
            Relay::NewConnection => {
                pass_all(&mut client, async |message| {
                    ask(&mut connect(process).await?, message).await
                })
                .await
            }
        }
    })?;
    client
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the client panicked")))
}

type Message = [u8; MESSAGE];

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Passes each message of the client on, and its answer back.
async fn pass_all(client: &mut TcpStream, mut pass: impl AsyncFnMut(&mut Message) -> io::Result<()>) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    while client.read_exact(&mut message).await.is_ok() {
        pass(&mut message).await?;
        client.write_all(&message).await?;
    }
    Ok(())
}

async fn ask(process: &mut TcpStream, message: &mut Message) -> io::Result<()> {
    process.write_all(message).await?;
    process.read_exact(message).await.map(drop)
}

/// A connection that a task of its own drives.
fn drive(mut process: TcpStream) -> mpsc::Sender<(Message, oneshot::Sender<Message>)> {
    let (requests, mut requested) = mpsc::channel::<(Message, oneshot::Sender<Message>)>(1);
    tokio::spawn(async move {
        while let Some((mut message, answer)) = requested.recv().await {
            if ask(&mut process, &mut message).await.is_ok() {
                let _ = answer.send(message);
            }
        }
    });
    requests
}

/// A process that returns what it gets, on as many connections as there are.
fn echo() -> io::Result<SocketAddr> {
    let listener = BlockingListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: BlockingStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

fn exchange(address: SocketAddr) -> io::Result<f64> {
    let mut stream = BlockingStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut message = [7; MESSAGE];
    let begun = Instant::now();
    for _ in 0..EXCHANGES {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(EXCHANGES))
}
