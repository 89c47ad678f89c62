//! The pictures of README: drawn here, one of them from a real terminal session, and held equal to the files.
//!
//! `UPDATE=1 cargo test --test integration docs::pictures` writes them.

use crate::support::{World, crate_root, data, world::TORSO};
use std::fmt::Write as _;

/// What is typed in the picture of a session.
const TYPED: &[&[&str]] = &[
    &[
        "db",
        "create",
        "flights",
        "--location",
        "ams",
        "--from-csv",
        "airports.csv",
    ],
    &[
        "db",
        "shell",
        "flights",
        "select faa, name, alt from airports order by alt desc limit 3",
        "--output",
        "box",
    ],
    &["db", "replicate", "flights", "lhr"],
    &["db", "show", "flights"],
    &["db", "shell", "flights", "--location", "lhr", "delete from airports"],
];

const HEAD: &str = "font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, monospace\" font-size=\"14\"";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Holds a picture equal to its file; with `UPDATE` set, writes it.
#[track_caller]
fn check(name: &str, picture: &str) {
    let file = crate_root().join("docs/pictures").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, picture).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = |(kept, drawn): &(&str, &str)| kept != drawn;
    let difference = kept.lines().zip(picture.lines()).find(differs);
    assert!(
        kept == picture,
        "docs/pictures/{name} is stale: UPDATE=1 cargo test docs::pictures\n{difference:#?}"
    );
}

/// What a command prints on a terminal of 80 columns, without colours.
fn printed(world: &World, args: &[&str]) -> String {
    let mut command = world.command("sh");
    command
        .args(["-c", "stty cols 80 rows 24; exec \"$@\"", "sh", TORSO])
        .args(args);
    command.stdin(std::process::Stdio::inherit());
    let output = rexpect::session::spawn_command(command, Some(20_000))
        .unwrap()
        .exp_eof()
        .unwrap();
    // The session reads bytes and gives each as a character.
    let bytes: Vec<u8> = output
        .chars()
        .map(|byte| u8::try_from(u32::from(byte)).unwrap())
        .collect();
    let output = String::from_utf8(bytes).unwrap();
    // A bar, which appears where the machine is slow, is cleared again.
    let output = regex::Regex::new("[^\n]*\r\x1b\\[2K").unwrap().replace_all(&output, "");
    let plain = regex::Regex::new("\x1b\\[[0-9;?]*[A-Za-z]")
        .unwrap()
        .replace_all(&output, "")
        .into_owned();
    plain.replace('\r', "")
}

/// The text with a directory, an id and times that are the same on every run.
fn stable(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, steady) in [
        (r"file:\S*/data/", "file:/home/you/.local/share/torso/"),
        (
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
            "0b2c7f5e-3a41-4d8e-9c60-5f1e2a7d8b93",
        ),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-11-29 12:00 UTC"),
        (r"([│┆]) (?:now|\d+s ago) +([│┆])", "$1 now       $2"),
    ] {
        text = regex::Regex::new(pattern)
            .unwrap()
            .replace_all(&text, steady)
            .into_owned();
    }
    text
}

#[test]
fn docs_picture_of_a_session_is_what_a_terminal_shows() {
    let world = World::new();
    std::fs::copy(data("airports.csv"), world.work().join("airports.csv")).unwrap();
    let mut lines: Vec<(bool, String)> = Vec::new();
    for args in TYPED {
        let quoted: Vec<_> = args
            .iter()
            .map(|word| {
                if word.contains(' ') {
                    format!("\"{word}\"")
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        lines.push((true, format!("$ torso {}", quoted.join(" "))));
        lines.extend(
            stable(&printed(&world, args))
                .lines()
                .map(|line| (false, line.trim_end().to_owned())),
        );
    }
    let width = lines.iter().map(|(_, line)| line.chars().count()).max().unwrap() * 85 / 10 + 40;
    let height = lines.len() * 20 + 36;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" {HEAD}>\n\
         <title>A session with torso</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e1e2e\"/>\n"
    );
    for (at, (typed, line)) in lines.iter().enumerate() {
        let (color, y) = (if *typed { "#a6e3a1" } else { "#cdd6f4" }, at * 20 + 32);
        let _ = writeln!(
            picture,
            "<text x=\"20\" y=\"{y}\" fill=\"{color}\" xml:space=\"preserve\">{}</text>",
            escape(line)
        );
    }
    picture.push_str("</svg>\n");
    assert!(picture.contains("┌─────┬"), "the boxes are not drawn:\n{picture}");
    check("session.svg", &picture);
}

/// A box with its lines of text.
fn boxed(picture: &mut String, x: u32, y: u32, width: u32, fill: &str, lines: &[&str]) {
    let height = lines.len() as u32 * 22 + 20;
    let _ = writeln!(
        picture,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{fill}\" stroke=\"#57606a\"/>"
    );
    for (at, line) in lines.iter().enumerate() {
        let (x, y) = (x + width / 2, y + 26 + at as u32 * 22);
        let weight = if at == 0 { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            picture,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#1f2328\"{weight}>{}</text>",
            escape(line)
        );
    }
}

/// An arrow with a word above it.
fn arrow(picture: &mut String, from: (u32, u32), to: (u32, u32), word: &str) {
    let _ = writeln!(
        picture,
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#57606a\" stroke-width=\"2\" marker-end=\"url(#end)\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"12\" fill=\"#57606a\">{}</text>",
        from.0,
        from.1,
        to.0,
        to.1,
        (from.0 + to.0) / 2,
        (from.1 + to.1) / 2 - 8,
        escape(word)
    );
}

#[test]
fn docs_picture_of_what_torso_is_is_current() {
    let (local, server) = ("#ddf4ff", "#fff8c5");
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"330\" viewBox=\"0 0 860 330\" {HEAD}>\n\
         <title>What torso is</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <defs><marker id=\"end\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"#57606a\"/></marker></defs>\n"
    );
    boxed(
        &mut picture,
        20,
        40,
        190,
        "#f6f8fa",
        &["your application", "any SQLite client"],
    );
    boxed(
        &mut picture,
        330,
        40,
        200,
        local,
        &["app at ams", "a SQLite file: primary"],
    );
    boxed(
        &mut picture,
        650,
        40,
        190,
        local,
        &["app at lhr", "another disk: replica"],
    );
    arrow(&mut picture, (210, 72), (330, 72), "file");
    arrow(&mut picture, (530, 72), (650, 72), "torso");
    boxed(
        &mut picture,
        20,
        220,
        190,
        "#f6f8fa",
        &["applications, torso", "any libSQL client"],
    );
    boxed(
        &mut picture,
        330,
        220,
        200,
        server,
        &["torso server", "gateway, users, limits"],
    );
    boxed(&mut picture, 650, 180, 190, server, &["app at ams", "sqld: primary"]);
    boxed(&mut picture, 650, 260, 190, server, &["app at lhr", "sqld: replica"]);
    arrow(&mut picture, (210, 252), (330, 252), "network");
    arrow(&mut picture, (530, 240), (650, 212), "");
    arrow(&mut picture, (530, 262), (650, 290), "");
    for (y, text) in [
        (24, "On your machine: no server, no account"),
        (164, "A server of your own"),
    ] {
        let _ = writeln!(
            picture,
            "<text x=\"20\" y=\"{y}\" font-weight=\"bold\" fill=\"#1f2328\">{text}</text>"
        );
    }
    picture.push_str("</svg>\n");
    check("overview.svg", &picture);
}
