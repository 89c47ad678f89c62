//! A network that cuts, delays and duplicates, between the client and a server that knows no idempotency keys, as Turso Cloud: what
//! could be made twice is not sent twice, an unknown outcome is called so, and the same command with `--if-not-exists` or
//! `--if-exists` converges.

use crate::support::network::{FAULTS, Fault, Network};
use crate::support::platform::Platform;
use crate::support::stub::{Answer, Stub};
use crate::support::{Run, World};
use std::time::{Duration, Instant};

fn world(network: &Network) -> World {
    let mut world = World::new();
    world.set("TORSO_API_URL", network.url());
    world.set("TORSO_TOKEN", super::TOKEN);
    world
}

fn run(world: &World, line: &str) -> (Run, Duration) {
    let begun = Instant::now();
    let run = world.torso(line.split(' ').chain(["--json", "--timeout", "8s"]));
    (run, begun.elapsed())
}

/// Runs a command of which one change meets a fault: either it succeeds, or it says that the change may have been made.
#[track_caller]
fn check_truth(world: &World, network: &Network, line: &str, fault: Fault) {
    network.fail_next_change(fault);
    let (run, took) = run(world, line);
    network.choose(|_, _| Fault::None);
    assert!(took < Duration::from_secs(15), "{fault:?}: {line}: {took:?}");
    if run.code() == 0 {
        return;
    }
    if matches!(fault, Fault::Duplicate | Fault::DuplicateAtOnce) {
        // The answer to the second one may come back, which finds the change made.
        assert!([3, 5].contains(&run.code()), "{fault:?}: {}", run.report());
        return;
    }
    assert_eq!(run.code(), 7, "{fault:?}: {}", run.report());
    let error = run.error();
    assert_eq!(
        error["hint"], "the change may have been made: check before you try again",
        "{error}"
    );
}

#[test]
fn network_fault_before_a_server_without_keys_makes_nothing_twice() {
    let platform = Platform::start_without_databases();
    let network = Network::before(&platform.address());
    let world = world(&network);
    for (n, fault) in FAULTS.into_iter().enumerate() {
        for (change, again) in [
            (
                "db create app{n} --group default",
                "db create app{n} --group default --if-not-exists",
            ),
            (
                "group create g{n} --location ams",
                "group create g{n} --location ams --if-not-exists",
            ),
        ] {
            let sent = || {
                platform
                    .requests()
                    .iter()
                    .filter(|request| request.method == "POST")
                    .count()
            };
            let before = sent();
            let (change, again) = (
                change.replace("{n}", &n.to_string()),
                again.replace("{n}", &n.to_string()),
            );
            check_truth(&world, &network, &change, fault);
            let is_duplicate = matches!(fault, Fault::Duplicate | Fault::DuplicateAtOnce);
            assert!(
                sent() - before <= 1 + usize::from(is_duplicate),
                "{fault:?}: {change} was sent again"
            );
            let (run, _) = run(&world, &again);
            assert_eq!(run.code(), 0, "{fault:?}: {}", run.report());
        }
        let expected: Vec<String> = (0..=n).map(|n| format!("app{n}")).collect();
        assert_eq!(platform.databases(), expected, "{fault:?}");
    }
    for (n, fault) in FAULTS.into_iter().enumerate() {
        // What is idempotent is sent again, and a deletion that was done is none that failed.
        check_truth(
            &world,
            &network,
            &format!("db config set app{n} delete-protection off"),
            fault,
        );
        check_truth(&world, &network, &format!("db destroy app{n} --yes"), fault);
        let (run, _) = run(&world, &format!("db destroy app{n} --yes --if-exists"));
        assert_eq!(run.code(), 0, "{fault:?}: {}", run.report());
    }
    assert_eq!(platform.databases(), [""; 0]);
}

#[test]
fn network_proxy_that_answers_for_its_server_is_asked_now_and_then() {
    let proxy = Stub::start(|_| Answer::With(502, "Content-Type: text/html\r\n", b"<h1>Bad gateway</h1>".to_vec()));
    let mut world = World::new();
    world.set("TORSO_API_URL", proxy.url());
    world.set("TORSO_TOKEN", super::TOKEN);
    let (run, took) = run(&world, "db create app --group default");
    assert_eq!(run.code(), 7, "{}", run.report());
    let asked = proxy.requests().len();
    // Whether it makes a change once for its key is what the client wants to know.
    assert!(asked > 2, "{:?}", proxy.requests());
    assert!(asked as u64 <= 6 + took.as_secs(), "{asked} requests in {took:?}");
}
