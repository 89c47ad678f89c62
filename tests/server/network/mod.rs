//! A network that cuts, delays and duplicates, between the client and a server: whatever happens to a request, a change is made
//! once, the exit code is true, and nothing takes longer than it may. Servers that know no idempotency keys are in
//! `client::network`.

mod accounts;
mod uploads;

use crate::support::network::{FAULTS, Fault, Network};
use crate::support::server::Server;
use crate::support::{Run, World, sqld};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longer than any command may take here, with a wait for a server that is silent.
const PATIENCE: Duration = Duration::from_secs(40);

/// Every command that changes something on a server; `{n}` is the number of the case.
const CHANGES: &[&str] = &[
    "group create g{n} --location ams",
    "group config set g{n} delete-protection off",
    "group locations add g{n} lhr",
    "group promote g{n} lhr",
    "group locations remove g{n} ams --yes",
    "db create d{n} --group default",
    "db create e{n} --group default --expires-in 2d",
    "db branch d{n} b{n}",
    "db config set d{n} size-limit 1gb",
    "db replicate d{n} lhr",
    "db sync d{n}",
    "db promote d{n} lhr",
    "db destroy d{n} --location ams --yes",
    "db rename b{n} c{n}",
    "db tokens create d{n} --label t{n}",
    "group tokens create g{n} --label t{n}",
    "auth api-tokens mint t{n}",
    "auth api-tokens mint u{n}",
    "auth api-tokens revoke u{n} --yes",
    "org create o{n}",
    "org invites create a{n}@example.com --org o{n}",
    "org invites create b{n}@example.com --org o{n}",
    "org invites remove b{n}@example.com --org o{n}",
    "org db-transfer c{n} o{n} --yes",
    "group create h{n} --location ams",
    "group rename h{n} i{n}",
    "group destroy i{n} --yes",
    "db destroy e{n} --yes",
    "db tokens invalidate d{n} --yes",
    "db tokens create d{n} --label u{n}",
];

/// A server that is reached through a network: its own address for clients is the network's.
fn served(home: &World, more: &[&str]) -> (Server, Network) {
    let address = format!("127.0.0.1:{}", sqld::free_port());
    let network = Network::before(&address);
    let url = network.url();
    let server = Server::start(home, &[&["--listen", &address, "--url", &url], more].concat());
    server.wait_ready();
    (server, network)
}

fn world(server: &Server, network: &Network) -> World {
    let mut world = World::new();
    world.set("TORSO_API_URL", network.url());
    world.set("TORSO_TOKEN", &server.token);
    world
}

fn run(world: &World, line: &str) -> (Run, Duration) {
    let begun = Instant::now();
    let run = world.torso(line.split(' ').chain(["--json", "--timeout", "20s"]));
    (run, begun.elapsed())
}

/// What there is of a case, without what differs from case to case.
fn state(world: &World, n: usize) -> String {
    let lines = [
        format!("db list *{n} --output name"),
        format!("db list --org o{n} --output name"),
        "group list --output name".to_owned(),
        format!("db tokens list d{n} --output name"),
        format!("group tokens list g{n} --output name"),
        "auth api-tokens list --output name".to_owned(),
        format!("org invites list --org o{n} --output name"),
        format!("db replicas d{n} --output name"),
    ];
    let mut state = String::new();
    for line in lines {
        let run = world.torso(line.split(' ')).success();
        let count = |items: &str| {
            // Tokens are listed by their ids.
            let is_id = |item: &str| item.len() == 36 && item.matches('-').count() == 4;
            let mine = |item: &&str| {
                is_id(item) || item.ends_with(&n.to_string()) || !item.starts_with(|c: char| "deghiut".contains(c))
            };
            let unnamed = |item: &str| match item {
                id if is_id(id) => "id".to_owned(),
                name => name.replace(&n.to_string(), "N"),
            };
            items.lines().filter(mine).map(unnamed).collect::<Vec<_>>().join(" ")
        };
        state += &format!("{}: {}\n", line.replace(&n.to_string(), "N"), count(&run.stdout));
    }
    state
}

#[test]
fn network_fault_in_any_change_leaves_it_made_once() {
    let home = World::new();
    let server = Server::start(
        &home,
        &["--owner", "alice", "--locations", "ams,lhr", "--rate-limit", "0"],
    );
    server.wait_ready();
    let network = Network::before(server.address());
    let world = world(&server, &network);
    let mut states = Vec::new();
    // The first case goes well, and says what there is to be.
    for (n, fault) in [Fault::None].into_iter().chain(FAULTS).enumerate() {
        // Digits only at the end of names, and no name that ends like another.
        let n = n + 11;
        for (step, change) in CHANGES.iter().enumerate() {
            // A silence lasts as long as the client waits for an answer: a few of them are enough.
            let fault = match fault {
                Fault::Silence(_) if step % 9 != 0 => Fault::None,
                fault => fault,
            };
            let line = change.replace("{n}", &n.to_string());
            let met = network.fail_next_change(fault);
            let (run, took) = run(&world, &line);
            assert!(met.load(Ordering::SeqCst), "{line}: no request changes anything");
            // Whether the server makes a change once for its key is not known where the first answer of all is awaited.
            if matches!(fault, Fault::Silence(_)) && run.code() == 7 {
                let hint = "the change may have been made: check before you try again";
                assert_eq!(run.error()["hint"], hint, "{}", run.report());
                continue;
            }
            assert_eq!(run.code(), 0, "{fault:?}: {}", run.report());
            assert!(took < PATIENCE, "{fault:?}: {line}: {took:?}");
        }
        network.choose(|_, _| Fault::None);
        states.push((fault, state(&world, n)));
    }
    for (fault, state) in &states {
        assert_eq!(*state, states[0].1, "{fault:?}");
    }
}

/// A network that is bad all the time: `TORSO_SEED` where to begin.
#[test]
fn network_that_fails_often_leaves_true_exit_codes_and_converges() {
    let seed = std::env::var("TORSO_SEED").map_or(20_261_130, |text| text.parse().unwrap());
    let home = World::new();
    let server = Server::start(&home, &["--owner", "alice", "--rate-limit", "0"]);
    server.wait_ready();
    let network = Network::before(server.address());
    let world = world(&server, &network);
    let mut random = fastrand::Rng::with_seed(seed);
    let quick: Vec<Fault> = FAULTS
        .into_iter()
        .filter(|fault| !matches!(fault, Fault::Silence(_)))
        .collect();
    for n in 0..30 {
        let (faults, mut own) = (quick.clone(), random.fork());
        network.choose(move |_, _| {
            if own.u8(..10) < 6 {
                faults[own.usize(..faults.len())]
            } else {
                Fault::None
            }
        });
        let line = format!("db create app{n} --group default --if-not-exists");
        let mut tries = 0;
        loop {
            let (run, took) = run(&world, &line);
            assert!(took < PATIENCE, "{line}: {took:?}");
            tries += 1;
            match run.code() {
                0 => break,
                7 => assert!(tries < 20, "seed {seed}: {}", run.report()),
                _ => panic!("seed {seed}: {}", run.report()),
            }
        }
        assert_eq!(
            server.ok("GET", "/v1/databases", None)["databases"]
                .as_array()
                .unwrap()
                .len(),
            n + 1
        );
    }
}

/// A server that is killed at any moment of a change, and started again: `TORSO_SEED` where to begin.
#[test]
fn network_peer_that_is_killed_and_started_again_makes_a_change_once() {
    let seed = std::env::var("TORSO_SEED").map_or(20_261_201, |text| text.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(seed);
    let home = World::new();
    let mut server = Server::start(&home, &["--owner", "alice", "--rate-limit", "0"]);
    let (address, token) = (server.address().to_owned(), server.token.clone());
    let mut world = World::new();
    world.set("TORSO_API_URL", format!("http://{address}"));
    world.set("TORSO_TOKEN", &token);
    for n in 0..8 {
        server.wait_ready();
        let line = format!("db create app{n} --group default --json --timeout 60s");
        let (run, again) = std::thread::scope(|scope| {
            let running = scope.spawn(|| world.torso(line.split(' ')));
            std::thread::sleep(Duration::from_millis(random.u64(0..80)));
            server.end(nix::sys::signal::Signal::SIGKILL);
            let mut again = Server::start(&home, &["--rate-limit", "0", "--listen", &address]);
            again.token.clone_from(&token);
            (running.join().unwrap(), again)
        });
        server = again;
        // A server that takes long to start again may be given up.
        assert!([0, 7].contains(&run.code()), "seed {seed}: {}", run.report());
        if run.code() == 7 {
            server.wait_ready();
            world.ok(format!("{line} --if-not-exists").split(' '));
        }
        let names = world.databases();
        assert_eq!(names.len(), n + 1, "seed {seed}: {names:?}");
    }
}
