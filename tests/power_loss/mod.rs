//! Power loss: writes and syncs of real runs are recorded, disks in which what was not synced is lost, torn or reordered are made of
//! them, and the program is started on each. Every acknowledged operation must be found, and no file that is half of one.
//!
//! `TORSO_POWER_STATES` says how many disks each test makes (40), `TORSO_SEED` where the random numbers begin.

mod disk_model;
mod embedded;
mod memory;
mod recording;

use disk_model::{DiskModel, DiskState, Survivors};
use recording::Event;
use std::collections::BTreeSet;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// A disk after a loss of power.
struct LostPower {
    /// After so many events.
    at: usize,
    /// Operations that were acknowledged before.
    acknowledged: usize,
    survivors: Survivors,
    disk: DiskState,
}

/// A moment, and what survives of what is not synced then.
#[derive(Clone, Copy)]
struct Draw {
    at: usize,
    survivors: Survivors,
    seed: u64,
}

fn draw_survivors(random: &mut fastrand::Rng) -> Survivors {
    match random.u8(..8) {
        0 => Survivors::None,
        1 => Survivors::All,
        2 => Survivors::Names,
        3 => Survivors::Data,
        _ => Survivors::Some([0.2, 0.5, 0.8][random.usize(..3)]),
    }
}

/// Calls `visit` with the disk at each of the moments, in their order.
fn visit_moments(before: &DiskModel, events: &[Event], draws: &[Draw], mut visit: impl FnMut(Draw, usize, DiskState)) {
    let (mut model, mut acknowledged, mut done) = (before.clone(), 0, 0);
    for draw in draws {
        while done < draw.at {
            if let Some(operation) = model.apply(&events[done]) {
                acknowledged = operation;
            }
            done += 1;
        }
        let disk = model.lose_power(draw.survivors, &mut fastrand::Rng::with_seed(draw.seed));
        visit(*draw, acknowledged, disk);
    }
}

/// Makes different disks of a recording, at moments when something about the files whose paths have `part` in them could be lost, and
/// has each judged. Returns how many there were.
fn lose_power_often(before: &DiskModel, events: &[Event], part: &str, mut judge: impl FnMut(LostPower)) -> usize {
    let wanted = usize::try_from(number("TORSO_POWER_STATES", 40)).unwrap();
    let mut random = fastrand::Rng::with_seed(number("TORSO_SEED", 20_261_130));
    let mut model = before.clone();
    let mut moments = Vec::new();
    for (at, event) in events.iter().enumerate() {
        model.apply(event);
        if model.is_at_risk(part) {
            moments.push(at + 1);
        }
    }
    assert!(
        moments.len() > 20,
        "{} moments at which {part} is at risk",
        moments.len()
    );
    let mut draws: Vec<Draw> = (0..wanted * 2)
        .map(|_| Draw {
            at: moments[random.usize(..moments.len())],
            survivors: draw_survivors(&mut random),
            seed: random.u64(..),
        })
        .collect();
    draws.sort_unstable_by_key(|draw| draw.at);
    let (mut seen, mut different) = (BTreeSet::new(), Vec::new());
    visit_moments(before, events, &draws, |draw, acknowledged, disk| {
        if seen.insert((acknowledged, disk.fingerprint())) {
            different.push(draw);
        }
    });
    random.shuffle(&mut different);
    different.truncate(wanted);
    different.sort_unstable_by_key(|draw| draw.at);
    visit_moments(before, events, &different, |draw, acknowledged, disk| {
        judge(LostPower {
            at: draw.at,
            acknowledged,
            survivors: draw.survivors,
            disk,
        });
    });
    different.len()
}

/// A recording is worth something only if it has everything: all of it together is what is on the real disk.
fn check_recording(before: &DiskModel, events: &[Event], root: &std::path::Path) {
    let mut model = before.clone();
    for event in events {
        model.apply(event);
    }
    let all = model.lose_power(Survivors::All, &mut fastrand::Rng::new());
    let differences = all.differences(&DiskState::read(root));
    assert!(
        differences.is_empty(),
        "recorded, and on the disk:\n{}",
        differences.join("\n")
    );
}

/// The last events before a moment, for whoever looks for a missing sync.
fn last_events(events: &[Event], at: usize) -> String {
    let lines = events[at.saturating_sub(30)..at].iter().map(|event| match event {
        Event::Ended {
            call: recording::DiskCall::Write { inode, offset, bytes },
            ..
        } => format!("Write {{ inode: {inode}, offset: {offset}, bytes: {} }}", bytes.len()),
        Event::Ended { call, .. } => format!("{call:?}"),
        Event::Acknowledged(operation) => format!("operation {operation} is acknowledged"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
