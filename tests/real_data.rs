//! Real tables, imported by torso and by `sqlite3`, compared column by column.

use crate::support::{World, data, sqlite3};

const TABLES: [&str; 4] = ["airlines", "airports", "planes", "weather"];

/// What a table holds, in a form that does not depend on the order of rows or on declared types: for each column, how
/// many values, how many distinct, their bytes, and a sum where they are numbers.
fn summary(columns: &[String], table: &str) -> String {
    let of_column = |column: &String| {
        format!(
            "count(\"{column}\"), count(distinct \"{column}\"), total(length(\"{column}\")), round(total(\"{column}\"), 3), min(\"{column}\" || ''), max(\"{column}\" || '')"
        )
    };
    let columns: Vec<_> = columns.iter().map(of_column).collect();
    format!("select count(*), {} from {table}", columns.join(", "))
}

fn header(table: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_path(data(&format!("{table}.csv"))).unwrap();
    reader.headers().unwrap().iter().map(str::to_owned).collect()
}

#[test]
fn import_of_real_data_is_that_of_sqlite3() {
    let world = World::new();
    let oracle = world.path("work/oracle.db");
    for table in TABLES {
        let csv = data(&format!("{table}.csv"));
        let csv = csv.to_str().unwrap();
        sqlite3::run(&world, &oracle, &format!(".import --csv {csv} {table}"));
        world.ok([
            "db",
            "create",
            table,
            "--location",
            "ams",
            "--from-csv",
            csv,
            "--csv-table-name",
            table,
        ]);
        let query = summary(&header(table), table);
        let expected = sqlite3::run(&world, &oracle, &query);
        assert_eq!(world.query(table, &query), expected.trim_end(), "{table}");
    }
}

#[test]
fn import_of_several_tables_reaches_the_replica() {
    let world = World::new();
    world.ok(["db", "create", "flights", "--location", "ams"]);
    world.ok(["db", "replicate", "flights", "lhr"]);
    for table in TABLES {
        let csv = data(&format!("{table}.csv"));
        world.ok(["db", "import", csv.to_str().unwrap(), "flights", "--table", table]);
    }
    let query = "select count(*) || ' ' || (select count(*) from airports) || ' ' || (select count(*) from planes) from weather";
    for location in ["ams", "lhr"] {
        let answer = world.ok(["db", "shell", "flights", "--location", location, query]);
        assert_eq!(answer.trim_end(), "26115 1458 3322", "at {location}");
    }
    // What was exported is what sqlite3 reads.
    let copy = world.path("work/copy.db");
    world.ok(["db", "export", "flights", "--output-file", copy.to_str().unwrap()]);
    assert_eq!(
        sqlite3::run(&world, &copy, &format!("pragma integrity_check; {query}")),
        "ok\n26115 1458 3322\n"
    );
}

#[test]
fn dump_of_real_data_restores_it() {
    let world = World::new();
    let csv = data("airports.csv");
    world.ok([
        "db",
        "create",
        "one",
        "--from-csv",
        csv.to_str().unwrap(),
        "--csv-table-name",
        "airports",
    ]);
    let dump = world.ok(["db", "dump", "one"]);
    let path = world.write("dump.sql", &dump);
    world.ok(["db", "create", "two", "--from-dump", path.to_str().unwrap()]);
    assert_eq!(world.ok(["db", "dump", "two"]), dump);
    world
        .torso_with_input(["db", "create", "three", "--from-dump", "-"], &dump)
        .success();
    assert_eq!(world.ok(["db", "dump", "three"]), dump);
    let oracle = world.path("work/oracle.db");
    sqlite3::run(&world, &oracle, &format!(".read {}", path.display()));
    assert_eq!(sqlite3::run(&world, &oracle, "select count(*) from airports"), "1458\n");
}
