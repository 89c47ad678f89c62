//! The official TypeScript SDK manages a server through a whole life.

use crate::support::server::Server;
use crate::support::{Run, World, installed};

#[test]
fn sdk_of_the_platform_api_works() {
    let world = World::new();
    let server = Server::start(&world, &["--locations", "ams,lhr", "--owner", "alice"]);
    let script = installed::script("platform.mjs");
    let mut node = world.command("node");
    node.arg(&script)
        .env("BASE_URL", format!("{}v1/", server.url()))
        .env("TOKEN", &server.token);
    if let Some(path) = std::env::var_os("PATH") {
        node.env("PATH", path);
    }
    let run = Run::of(node).success();
    assert_eq!(run.stdout, "done\n", "{}", run.report());
}
