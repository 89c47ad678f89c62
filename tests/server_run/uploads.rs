//! Files on their way to a server, over connections that break, from clients and to servers that are killed.

use super::Deployment;
use crate::support::{Run, World, until};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A way to a server that can be slow, and breaks.
struct Way {
    address: String,
    /// Bytes that went to the server, in all.
    sent: Arc<AtomicU64>,
    /// After how many bytes each of the next connections that carry many breaks.
    breaks: Arc<Mutex<Vec<u64>>>,
    /// Microseconds that each 16 KiB take.
    pause: Arc<AtomicU64>,
    /// How many requests to make a database are to be passed on without a way back for their answers.
    unanswered: Arc<AtomicU64>,
}

/// Bytes that are passed on at once.
const PIECE: usize = 16 << 10;

/// From how many bytes on a connection carries a file.
const MANY: u64 = 64 << 10;

impl Way {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            address: listener.local_addr().unwrap().to_string(),
            sent: Arc::default(),
            breaks: Arc::default(),
            pause: Arc::default(),
            unanswered: Arc::default(),
        };
        let server = server.to_owned();
        let (sent, breaks, pause) = (way.sent.clone(), way.breaks.clone(), way.pause.clone());
        let unanswered = way.unanswered.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&server) else { continue };
                let (near_back, far_back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || pass(far_back, near_back, |_| Next::At(Duration::ZERO)));
                let (sent, breaks, pause) = (sent.clone(), breaks.clone(), pause.clone());
                let unanswered = unanswered.clone();
                std::thread::spawn(move || {
                    let mut limit = None;
                    let mut passed = 0;
                    pass(near, far, |piece| {
                        if piece.starts_with(b"POST /v1/databases ")
                            && unanswered
                                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                                .is_ok()
                        {
                            return Next::Last;
                        }
                        let count = piece.len() as u64;
                        passed += count;
                        sent.fetch_add(count, Ordering::SeqCst);
                        if passed > MANY && limit.is_none() {
                            limit = Some(breaks.lock().unwrap().pop().unwrap_or(u64::MAX));
                        }
                        let pause = Duration::from_micros(pause.load(Ordering::SeqCst));
                        if passed <= limit.unwrap_or(u64::MAX) {
                            Next::At(pause)
                        } else {
                            Next::Break
                        }
                    });
                });
            }
        });
        way
    }
}

/// What becomes of a piece.
enum Next {
    /// It is passed on, after a while.
    At(Duration),
    /// It arrives, and is the last that does.
    Last,
    /// It is lost.
    Break,
}

/// Passes bytes on in one direction until there are no more, or as `next` says; then both directions end.
fn pass(mut from: TcpStream, mut to: TcpStream, mut next: impl FnMut(&[u8]) -> Next) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let next = next(&piece[..count]);
        match next {
            Next::At(pause) => std::thread::sleep(pause),
            Next::Last => {}
            Next::Break => break,
        }
        if to.write_all(&piece[..count]).is_err() || matches!(next, Next::Last) {
            // The other side takes what it has, and begins.
            std::thread::sleep(Duration::from_millis(30));
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Megabytes of the files.
const SIZE: u64 = 12;

/// A server, a way to it, and a context in which commands take that way.
struct Site {
    deployment: Deployment,
    way: Way,
}

impl Site {
    fn new() -> Self {
        let deployment = Deployment::new();
        let way = Way::to(deployment.server().address());
        deployment.world.write("token", &deployment.token);
        let url = format!("http://{}", way.address);
        let context = ["context", "add", "there", "--url", &url, "--token-file", "token"];
        deployment.world.ok(context);
        deployment.world.ok(["context", "use", "there"]);
        Self { deployment, way }
    }

    fn world(&self) -> &World {
        &self.deployment.world
    }

    /// A database of random rows, as a file of the kind that a flag of `db create` takes.
    fn file(&self, flag: &str) -> PathBuf {
        let path = self.world().work().join("original.db");
        let _ = std::fs::remove_file(&path);
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute_batch(&format!(
            "CREATE TABLE t (n, body);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {SIZE}*16)
             INSERT INTO t SELECT i, hex(randomblob(32 << 10)) FROM n;"
        ))
        .unwrap();
        match flag {
            "--from-file" => path,
            "--from-dump" => {
                let world = self.world();
                let dump = world.ok(["db", "shell", "./original.db", ".dump"]);
                world.write("original.sql", dump)
            }
            _ => {
                let world = self.world();
                let csv = world.ok(["db", "shell", "./original.db", "--csv", "-header", "select * from t"]);
                world.write("original.csv", csv)
            }
        }
    }

    /// Begins to create `app` from a file, on a way so slow that it is still under way when this returns.
    fn begin(&self) -> Child {
        let path = self.file("--from-file");
        self.way.pause.store(20_000, Ordering::SeqCst);
        let before = self.way.sent.load(Ordering::SeqCst);
        let process = self
            .world()
            .torso_command(["db", "create", "app", "--json", "--from-file", path.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("the upload is under way", || {
            self.way.sent.load(Ordering::SeqCst) > before + (1 << 20)
        });
        process
    }

    /// What is kept of uploads at the server.
    fn uploads(&self) -> usize {
        std::fs::read_dir(self.deployment.data().join("uploads")).map_or(0, Iterator::count)
    }

    /// What is noted on this side of uploads under way.
    fn notes(&self) -> usize {
        let noted = self.world().path("home").join(".local/state/torso/uploads");
        std::fs::read_dir(noted).map_or(0, Iterator::count)
    }

    /// Files for a while that commands left.
    fn left(&self) -> usize {
        std::fs::read_dir(self.world().path("tmp")).unwrap().count()
    }
}

/// What tells one content from another.
const DIGEST: &str = "select count(*), sum(n), sum(length(body)), sum(unicode(substr(body, n + 1, 1)) * n) from t";

#[test]
fn upload_continues_when_its_connection_breaks() {
    let site = Site::new();
    for (at, flag) in ["--from-file", "--from-dump", "--from-csv"].into_iter().enumerate() {
        let path = site.file(flag);
        let name = format!("app{at}");
        let mut random = fastrand::Rng::with_seed(20_261_127 + at as u64);
        let breaks: Vec<u64> = (0..4).map(|_| random.u64(MANY..3 << 20)).collect();
        *site.way.breaks.lock().unwrap() = breaks;
        let before = site.way.sent.load(Ordering::SeqCst);
        let mut args = vec!["db", "create", &name, flag, path.to_str().unwrap()];
        if flag == "--from-csv" {
            args.extend(["--table", "t"]);
        }
        let made = site.world().json(args);
        assert_eq!(made["created"], true);
        assert_eq!(*site.way.breaks.lock().unwrap(), Vec::<u64>::new(), "it did not break");
        // Gone on with, not begun anew.
        let sent = (site.way.sent.load(Ordering::SeqCst) - before) >> 20;
        assert!((SIZE..2 * SIZE).contains(&sent), "{flag}: {sent} MB were sent");
        let original = site.world().query("./original.db", DIGEST);
        assert_eq!(site.world().query(&name, DIGEST), original, "{flag}");
        assert_eq!((site.uploads(), site.left()), (0, 0));
    }
}

#[test]
fn upload_whose_answer_is_lost_is_found() {
    let site = Site::new();
    let path = site.file("--from-file");
    site.way.unanswered.store(2, Ordering::SeqCst);
    let made = site
        .world()
        .json(["db", "create", "app", "--from-file", path.to_str().unwrap()]);
    assert_eq!((&made["created"], &made["Name"]), (&json!(true), &json!("app")));
    assert_eq!(site.way.unanswered.load(Ordering::SeqCst), 0);
    assert_eq!(
        site.world().query("app", DIGEST),
        site.world().query("./original.db", DIGEST)
    );
    assert_eq!((site.uploads(), site.left(), site.world().databases().len()), (0, 0, 1));
    // Another's database of that name is not taken for it.
    let run = site
        .world()
        .torso(["db", "create", "app", "--from-file", path.to_str().unwrap(), "--json"]);
    run.fails(5, "database_exists");
    assert_eq!(site.uploads(), 0);
}

#[test]
fn upload_of_an_interrupted_or_killed_client_leaves_nothing() {
    let site = Site::new();
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let process = site.begin();
        nix::sys::signal::kill(Pid::from_raw(process.id().try_into().unwrap()), signal).unwrap();
        let begun = std::time::Instant::now();
        let output = process.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(output.stdout, b"");
        assert_eq!(site.world().databases(), Vec::<String>::new());
        if signal == Signal::SIGINT {
            assert_eq!(output.status.code(), Some(130));
            let told: Value = serde_json::from_slice(&output.stderr).unwrap();
            assert_eq!(told["error"]["code"], "interrupted");
            assert_eq!((site.uploads(), site.left()), (0, 0));
        }
    }
    // Who was killed could not clear up. What becomes another database has nothing to do with it.
    assert_eq!((site.uploads(), site.notes()), (1, 1));
    site.way.pause.store(0, Ordering::SeqCst);
    let path = site.world().work().join("original.db");
    let create = |name: &str| {
        let before = site.way.sent.load(Ordering::SeqCst);
        site.world()
            .ok(["db", "create", name, "--from-file", path.to_str().unwrap()]);
        site.way.sent.load(Ordering::SeqCst) - before
    };
    let original = site.world().query("./original.db", DIGEST);
    assert!(create("other") >= SIZE << 20);
    assert_eq!((site.uploads(), site.left(), site.notes()), (1, 0, 1));
    // The same command goes on where it was.
    assert!(create("app") < (SIZE << 20) - (512 << 10));
    assert_eq!((site.uploads(), site.left(), site.notes()), (0, 0, 0));
    for name in ["app", "other"] {
        assert_eq!(site.world().query(name, DIGEST), original);
    }
}

#[test]
fn upload_outlives_the_server() {
    let mut site = Site::new();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut process = site.begin();
        site.deployment.end(signal);
        std::thread::sleep(Duration::from_millis(500));
        site.way.pause.store(0, Ordering::SeqCst);
        assert!(process.try_wait().unwrap().is_none(), "it gave up at once");
        site.deployment.start();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&made["created"], &made["Name"]), (&json!(true), &json!("app")));
        assert_eq!(
            site.world().query("app", DIGEST),
            site.world().query("./original.db", DIGEST)
        );
        assert_eq!((site.uploads(), site.left()), (0, 0));
        site.world().ok(["db", "destroy", "app", "--yes"]);
    }
}

#[test]
fn upload_at_a_terminal_shows_its_progress() {
    let site = Site::new();
    let path = site.file("--from-file");
    site.way.pause.store(4_000, Ordering::SeqCst);
    let mut terminal = site
        .world()
        .terminal(&["db", "create", "app", "--from-file", path.to_str().unwrap()]);
    terminal.exp_regex("Uploading .* ([1-9]|[1-9][0-9])%").unwrap();
    site.way.pause.store(0, Ordering::SeqCst);
    terminal.exp_string("Created database app").unwrap();
    terminal.exp_eof().unwrap();
    // In a script there is nothing to see.
    let run = Run::of(
        site.world()
            .torso_command(["db", "create", "quiet", "--from-file", path.to_str().unwrap()]),
    );
    assert!(!run.success().stderr.contains("Uploading"));
}
