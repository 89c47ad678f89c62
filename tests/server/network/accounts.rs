//! Members, users, quotas and sessions over a network that fails: a change of who may do what is made once, too.

use super::{run, served};
use crate::support::network::{FAULTS, Fault, Network};
use crate::support::{Run, World};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// The owner's changes once eve{n} is a member of organization o{n}; `{n}` is the number of the case.
const CHANGES: &[&str] = &[
    "org members role eve{n} admin --org o{n}",
    "org members remove eve{n} --org o{n} --yes",
    "org members add eve{n} --org o{n} --role viewer",
    "server quotas set o{n}/databases=7",
    "server users disable eve{n} --yes",
    "org destroy o{n} --yes",
    "server users remove eve{n} --yes",
];

/// Who is there and what each may, after a change; without what differs from case to case.
fn state(owner: &World, n: usize) -> Vec<String> {
    let number = n.to_string();
    let rows = |line: &str| -> Vec<String> {
        let run = owner.torso(line.replace("{n}", &number).split(' '));
        let mine = run.stdout.lines().filter(|row| row.contains(&number));
        mine.map(|row| row.replace(&number, "N")).collect()
    };
    let mut state = vec![format!("{:?}", rows("org list --output name"))];
    state.push(format!("{:?}", rows("server users list --output name")));
    let members = owner.torso(format!("org members list --org o{n} --output csv").split(' '));
    let roles = members.stdout.lines().map(|row| row.replace(&number, "N"));
    state.push(format!("{:?}", roles.collect::<Vec<_>>()));
    let quotas = owner.json(["server", "quotas", "list"]).to_string();
    state.push(quotas.matches(&format!("\"o{n}\"")).count().to_string());
    state
}

/// Sends a change through a fault.
fn send(network: &Network, world: &World, line: &str, fault: Fault) -> Run {
    let met = network.fail_next_change(fault);
    let (run, took) = run(world, line);
    network.choose(|_, _| Fault::None);
    assert!(met.load(Ordering::SeqCst), "{line}: no request changes anything");
    assert!(took < super::PATIENCE, "{fault:?}: {line}: {took:?}");
    run
}

/// The same of a change that succeeds through every fault.
fn change(network: &Network, world: &World, line: &str, fault: Fault) {
    let run = send(network, world, line, fault);
    assert_eq!(run.code(), 0, "{fault:?}: {}", run.report());
}

/// Who ends all sessions ends the one that asks: the second of two requests is that of an ended token, and nobody answers it as
/// the first one.
fn end_sessions(network: &Network, world: &World, fault: Fault) {
    let run = send(network, world, "auth logout --all --yes", fault);
    match fault {
        Fault::Duplicate | Fault::DuplicateAtOnce if run.code() == 4 => {
            assert_eq!(run.error()["code"], "unauthenticated", "{}", run.report());
        }
        _ => assert_eq!(run.code(), 0, "{fault:?}: {}", run.report()),
    }
}

#[test]
fn network_fault_in_any_change_of_accounts_leaves_it_made_once() {
    let home = World::new();
    let (server, network) = served(&home, &["--owner", "alice", "--rate-limit", "0"]);
    let owner = super::world(&server, &network);
    // A silence is waited for; `network_fault_in_any_change_leaves_it_made_once` has some.
    let quick = FAULTS.into_iter().filter(|fault| !matches!(fault, Fault::Silence(_)));
    let mut states: Vec<(Fault, Vec<Vec<String>>)> = Vec::new();
    // The first case goes well, and says what there is to be.
    for (n, fault) in [Fault::None].into_iter().chain(quick).enumerate() {
        let n = n + 11;
        owner.ok(["org", "create", &format!("o{n}")]);
        let invitation = owner.json([
            "org",
            "invites",
            "create",
            &format!("eve{n}@example.com"),
            "--org",
            &format!("o{n}"),
        ]);
        let eve = World::new();
        eve.ok(["context", "add", "there", "--url", &network.url()]);
        eve.ok(["context", "use", "there"]);
        let link = invitation["link"].as_str().unwrap();
        change(&network, &eve, &format!("auth accept {link} --username eve{n}"), fault);
        assert_eq!(eve.ok(["auth", "whoami"]).trim_end(), format!("eve{n}"));
        end_sessions(&network, &eve, fault);
        eve.torso(["auth", "whoami", "--json"]).fails(4, "unauthenticated");
        let mut seen = vec![state(&owner, n)];
        for line in CHANGES {
            change(&network, &owner, &line.replace("{n}", &n.to_string()), fault);
            seen.push(state(&owner, n));
        }
        states.push((fault, seen));
    }
    let (_, wanted) = &states[0];
    let distinct: BTreeSet<_> = wanted.iter().collect();
    assert!(distinct.len() > 4, "what is compared hardly changes: {wanted:#?}");
    for (fault, seen) in &states {
        assert_eq!(seen, wanted, "{fault:?}");
    }
}
