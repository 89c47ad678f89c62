//! `torso db verify` on databases that are files.

use crate::support::World;
use std::path::Path;

/// Changes a key in the leaf of an index, as a disk does that rots: the file keeps its time.
fn rot_index(file: &Path) {
    let key = b"the key of row 2";
    let mut bytes = std::fs::read(file).unwrap();
    let is_key = |page: &[u8]| page.windows(key.len()).position(|window| window == key);
    let leaf = bytes
        .chunks(4096)
        .enumerate()
        .find_map(|(n, page)| (page[0] == 10).then(|| is_key(page)).flatten().map(|at| n * 4096 + at));
    bytes[leaf.unwrap() + 6] = b'x';
    let modified = std::fs::metadata(file).unwrap().modified().unwrap();
    let permissions = std::fs::metadata(file).unwrap().permissions();
    // A replica is read-only.
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(file, bytes).unwrap();
    let open = std::fs::File::options().write(true).open(file).unwrap();
    open.set_modified(modified).unwrap();
    std::fs::set_permissions(file, permissions).unwrap();
}

#[test]
fn verification_that_is_deep_finds_damaged_indexes_of_files() {
    let world = World::with_app(
        "create table u (k text); create index by_k on u (k);
         insert into u values ('the key of row 1'), ('the key of row 2')",
    );
    world.ok(["db", "replicate", "app", "lhr"]);
    let deep = ["db", "verify", "app", "--deep", "--json"];
    let path = |location: &str| {
        let url = world.ok(["db", "show", "app", "--instance-url", location]);
        std::path::PathBuf::from(url.trim().trim_start_matches("file:"))
    };
    let verified = world.json(&deep[..4]);
    assert!(
        verified["instances"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["is_equal"] == true)
    );
    rot_index(&path("lhr"));
    world.ok(["db", "verify", "app"]);
    let run = world.torso(deep);
    assert_eq!(run.code(), 5, "{}", run.report());
    let instances = run.json()["instances"].clone();
    assert_eq!(
        (&instances[0]["is_equal"], &instances[1]["is_equal"]),
        (&true.into(), &false.into())
    );
    assert!(instances[1]["damage"].as_str().unwrap().contains("by_k"), "{instances}");
    world.ok(["db", "verify", "app", "--deep", "--repair"]);
    world.ok(deep);
    // The primary's own file: replicas are not what is wrong, and are not copied from it.
    world.ok(["db", "shell", "app", "pragma wal_checkpoint(truncate)"]);
    rot_index(&path("ams"));
    let run = world.torso(["db", "verify", "app", "--deep", "--repair", "--json"]);
    assert_eq!(run.error()["code"], "database_damaged", "{}", run.report());
    assert_eq!(run.json()["instances"][0]["is_equal"], false);
}
