//! Files of objects: how they are cut, by which line they are known, and which columns they need.

use super::*;
use crate::shell::render::Style;

/// The options of `.import --json FILE t`, with more arguments.
fn options(file: &str, more: &[&str]) -> ImportOptions {
    let mut arguments = vec!["--json"];
    arguments.extend(more);
    arguments.extend([file, "t"]);
    ImportOptions::parse(&arguments, &Style::default()).unwrap()
}

/// The objects of a text, each with the line it begins on, up to the first error.
fn objects(text: &str, more: &[&str]) -> (Vec<(u64, String)>, Option<String>) {
    // One byte at a time: where the input is cut must not matter.
    struct Single(std::io::Cursor<Vec<u8>>);
    impl Read for Single {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(1);
            self.0.read(&mut buffer[..end])
        }
    }
    let options = options("f.json", more);
    let input = Box::new(Single(io::Cursor::new(text.as_bytes().to_vec())));
    let mut objects = match Objects::new(input, &options, &|| false) {
        Ok(objects) => objects,
        Err(error) => return (Vec::new(), Some(error.message().to_owned())),
    };
    let mut read = Vec::new();
    loop {
        match objects.next() {
            Ok(Some(object)) => read.push((objects.begun, Json::Object(object.into_iter().collect()).to_string())),
            Ok(None) => return (read, None),
            Err(error) => return (read, Some(error.message().to_owned())),
        }
    }
}

#[test]
fn json_import_reads_an_array_or_objects_one_after_the_other() {
    let two = || vec![(1, "{\"a\":1}".to_owned()), (2, "{\"a\":{\"b\":[2]}}".to_owned())];
    for text in [
        "[{\"a\":1},\n{\"a\":{\"b\":[2]}}]",
        "{\"a\":1}\n{\"a\":{\"b\":[2]}}\n",
        "\u{feff}[ {\"a\":1}\n, {\"a\":{\"b\":[2]}} ] \n",
        "{\"a\":1}\r\n{\"a\":{\"b\":[2]}}",
    ] {
        assert_eq!(objects(text, &[]), (two(), None), "{text:?}");
    }
    for empty in ["", " \n", "[]", "[ \n ]"] {
        assert_eq!(objects(empty, &[]), (Vec::new(), None), "{empty:?}");
    }
}

#[test]
fn json_import_of_braces_and_quotes_in_texts_cuts_at_the_object() {
    let text = r#"{"a":"}{\"[","b":"\\"}{"a":"é"}"#;
    let (read, error) = objects(text, &[]);
    assert_eq!(
        read,
        [
            (1, r#"{"a":"}{\"[","b":"\\"}"#.to_owned()),
            (1, "{\"a\":\"é\"}".to_owned())
        ]
    );
    assert_eq!(error, None);
}

#[test]
fn json_import_of_a_damaged_file_names_the_line_of_the_object() {
    for (text, whole, error) in [
        (
            "[{\"a\":1}\n{\"a\":2}]",
            1,
            "f.json:2: a comma is missing between two objects",
        ),
        ("[{\"a\":1},\n", 1, "f.json:2: the array is cut off"),
        ("{\"a\":1}\n{\"a\":", 1, "f.json:2: the object is cut off"),
        ("{\"a\":1}\n7", 1, "f.json:2: an object is expected here"),
        ("[{\"a\":1}]\n{}", 1, "f.json:2: something follows the array"),
        (
            "{\"a\":1}\n{\"id\":1,\"b\":{\"b\":1,\"B\":2},\"ID\":2}",
            1,
            "f.json:2: the keys \"id\" and \"ID\" are the same column",
        ),
        (
            "[{\"a\":1,\"a\":1}]",
            0,
            "f.json:1: the keys \"a\" and \"a\" are the same column",
        ),
        ("\n\nx", 0, "f.json:3: an object is expected here"),
    ] {
        let (read, told) = objects(text, &[]);
        assert_eq!((read.len(), told.as_deref()), (whole, Some(error)), "{text:?}");
    }
    let (_, told) = objects("{\"a\":1}\n{a:1}", &[]);
    assert!(told.unwrap().starts_with("f.json:2: this is not JSON: "));
}

#[test]
fn json_import_that_skips_begins_at_the_next_object() {
    let (read, error) = objects("[{\"a\":1},{\"a\":2},\n{\"a\":3}]", &["--skip", "2"]);
    assert_eq!((read, error), (vec![(2, "{\"a\":3}".to_owned())], None));
    assert_eq!(objects("{\"a\":1}", &["--skip", "5"]), (Vec::new(), None));
}

#[test]
fn json_import_of_a_new_table_takes_columns_and_types_of_all_objects() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.json");
    let survey_of = |text: &str| {
        std::fs::write(&file, text).unwrap();
        survey(&options(file.to_str().unwrap(), &[]), &|| false)
    };
    let (names, types) = survey_of(
        r#"{"id":1,"Name":"x","mixed":1,"real":0.5,"empty":null,"yes":true}
           {"ID":2,"mixed":"a","late":[1]}"#,
    )
    .unwrap();
    assert_eq!(names, ["id", "Name", "mixed", "real", "empty", "yes", "late"]);
    assert_eq!(types, ["INTEGER", "TEXT", "", "REAL", "", "INTEGER", "TEXT"]);
    for nothing in ["[]", "{}"] {
        let error = survey_of(nothing).unwrap_err();
        assert!(
            error
                .message()
                .ends_with("there are no objects with keys to make a table of"),
            "{error}"
        );
    }
    let error = survey(&options("|cat f", &[]), &|| false).unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile);
}

#[test]
fn json_import_stores_each_value_as_sqlite_keeps_it() {
    for (json, value) in [
        ("null", Value::Null),
        ("true", Value::Integer(1)),
        ("false", Value::Integer(0)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-1", Value::Integer(-1)),
        ("1.0", Value::Real(1.0)),
        ("\"1\"", Value::Text("1".to_owned())),
        ("[1,{\"a\":null}]", Value::Text("[1,{\"a\":null}]".to_owned())),
    ] {
        assert_eq!(stored(serde_json::from_str(json).unwrap()), value, "{json}");
    }
}

#[cfg(unix)]
#[test]
fn import_of_objects_from_what_is_read_once_makes_no_table() {
    let error = survey(&options("/dev/null", &[]), &|| false).unwrap_err();
    assert!(error.message().contains("a pipe has one"), "{error:?}");
}
