//! A server with a location on another machine, set up as `docs/machines.md` says, and what becomes of the replicas there when
//! nodes, links and power are lost.

use super::site::{Site, blocks, join, open_server, start_server, state, try_write, type_block, wait_for, write};
use crate::support::machines::machine_network;

#[test]
fn machines_page_leads_to_a_replica_that_outlives_power_losses() {
    let test = "machines_page_leads_to_a_replica_that_outlives_power_losses";
    let Some(mut network) = machine_network(test) else {
        return;
    };
    let [mut server, mut lhr, mut fra] = Site::several(&mut network);
    let blocks = blocks();
    let [listen, invite, join_line, replicate, ..] = blocks.as_slice() else {
        panic!("other blocks than this test knows: {blocks:#?}");
    };
    open_server(&mut server, listen);
    server.torso(&["db", "create", "app"]);
    server.torso(&["db", "shell", "app", "create table t(x)"]);
    for (location, site) in [("lhr", &mut lhr), ("fra", &mut fra)] {
        join(&server, site, location, invite, join_line);
        type_block(&server, &replicate.replace("lhr", location));
        site.wait_rows("replica is there", 0);
    }
    write(&server);
    lhr.wait_rows("row arrives at lhr", 1);
    fra.wait_rows("row arrives at fra", 1);

    fra.kill();
    write(&server);
    lhr.wait_rows("row arrives at lhr while fra is dead", 2);
    fra.start("exec torso node");
    fra.wait_rows("row arrives at fra, which was killed", 2);

    lhr.machine.cut_link();
    write(&server);
    fra.wait_rows("row arrives at fra while lhr is cut off", 3);
    wait_for("lhr is away", || state(&server, "lhr") == "away", || server.log());
    assert_eq!(lhr.rows(), Some(2));
    lhr.machine.restore_link();
    lhr.wait_rows("row arrives at lhr, which was cut off", 3);

    fra.lose_power();
    write(&server);
    fra.machine.power_on();
    fra.start("exec torso node");
    fra.wait_rows("row arrives at fra, which lost its power", 4);

    server.lose_power();
    server.machine.power_on();
    start_server(&mut server, listen);
    // Its databases are there when their processes are.
    wait_for("server takes writes again", || try_write(&server), || server.log());
    lhr.wait_rows("row arrives at lhr after the server's power loss", 5);
    fra.wait_rows("row arrives at fra after the server's power loss", 5);
}
