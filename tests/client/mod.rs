//! The client of a server: what it asks, what it makes of answers good and bad, and that its token goes nowhere else.

mod addresses;
mod answers;
#[cfg(unix)]
mod gateway;
mod misbehaviour;
#[cfg(unix)]
mod network;
#[cfg(unix)]
mod own_tokens;
mod prism;
mod secrets;
#[cfg(unix)]
mod server;
pub mod stand_in;
mod uploads;

pub use answers::ANSWERS;

use crate::support::World;
use crate::support::stub::Stub;

/// The token that every test logs in with.
const TOKEN: &str = "torso_planted-0123456789abcdefghijklmnopqrstuvwxyz";

/// A world whose current context is the stub, with a token.
pub fn world(stub: &Stub) -> World {
    let mut world = World::new();
    world.write("token", TOKEN);
    world.ok([
        "context",
        "add",
        "there",
        "--url",
        &stub.url(),
        "--token-file",
        "token",
        "--no-verify",
    ]);
    world.ok(["context", "use", "there"]);
    world.set("TZ", "Europe/Amsterdam");
    world
}
