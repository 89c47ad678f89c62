//! The JSON Schemas of what commands answer with `--json`, made of the types: `docs/json`. A file of commands says beside its types
//! which command answers with which.
//!
//! Nothing of this is in the program: types have schemas in unit tests only, where `UPDATE=1 cargo test --lib commands::schemas`
//! writes the files.

/// Says that commands answer with a type, as in `document!("db list" => Databases)`. A command may have several.
macro_rules! document {
    ($($command:literal),+ => $type:ty) => { $(
        #[cfg(test)]
        inventory::submit! {
            $crate::commands::schemas::tests::Document {
                command: $command,
                name: || std::any::type_name::<$type>(),
                schema: |generator| generator.subschema_for::<$type>(),
            }
        }
    )+ };
}
pub(crate) use document;

#[cfg(test)]
pub(super) mod tests {
    use crate::commands::help::tree;
    use crate::commands::manual::same_as_file;
    use clap::Command;
    use schemars::generate::SchemaSettings;
    use schemars::{Schema, SchemaGenerator, json_schema};
    use std::collections::BTreeMap;

    /// A type that a command answers with.
    pub struct Document {
        pub command: &'static str,
        /// The type's. Documents come in an order that the linker chooses.
        pub name: fn() -> &'static str,
        pub schema: fn(&mut SchemaGenerator) -> Schema,
    }

    inventory::collect!(Document);

    /// Stands for every command that takes the option.
    const DRY_RUN: &str = "--dry-run";

    /// Commands that answer no document of their own.
    const NO_DOCUMENT: [&str; 5] = ["completion", "db shell", "help", "man", "run"];

    /// The commands, each with whether it takes `--dry-run`.
    fn verbs(command: &Command, path: &str, found: &mut BTreeMap<String, bool>) {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let path = format!("{path} {}", below.get_name());
            // `server` answers by itself, too.
            if !below.has_subcommands() || below.get_name() == "server" {
                let takes = below
                    .get_arguments()
                    .any(|argument| argument.get_long() == Some("dry-run"));
                found.insert(path.trim().to_owned(), takes);
            }
            if below.has_subcommands() && below.get_name() != "help" {
                verbs(below, &path, found);
            }
        }
    }

    /// The schema of a command's document.
    fn schema_of(command: &str, takes_dry_run: bool) -> Schema {
        let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut kinds: Vec<&Document> = inventory::iter::<Document>
            .into_iter()
            .filter(|document| document.command == command || (takes_dry_run && document.command == DRY_RUN))
            .collect();
        assert!(
            kinds.iter().any(|document| document.command == command),
            "no type says that {command} answers with it: see `document!`"
        );
        kinds.sort_by_key(|document| (document.command == DRY_RUN, (document.name)()));
        let mut schemas: Vec<Schema> = kinds.iter().map(|document| (document.schema)(&mut generator)).collect();
        schemas.sort_by_key(|schema| schema.as_value().to_string());
        schemas.dedup();
        let mut schema = match schemas.as_slice() {
            [only] => only.clone(),
            all => json_schema!({ "anyOf": all }),
        };
        let definitions = generator.take_definitions(true);
        let root = schema.ensure_object();
        root.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        root.insert("title".to_owned(), format!("torso {command} --json").into());
        if !definitions.is_empty() {
            root.insert("$defs".to_owned(), definitions.into());
        }
        schema
    }

    #[test]
    fn schemas_of_json_answers_are_those_of_the_types() {
        let mut all = BTreeMap::new();
        verbs(&tree(), "", &mut all);
        for (command, takes_dry_run) in all {
            if NO_DOCUMENT.contains(&command.as_str()) {
                continue;
            }
            let schema = schema_of(&command, takes_dry_run);
            let text = serde_json::to_string_pretty(schema.as_value()).unwrap() + "\n";
            // Links lead somewhere in the documentation of the code only.
            let text = text.replace("[`", "`").replace("`]", "`");
            same_as_file(&format!("docs/json/{}.json", command.replace(' ', "-")), &text);
        }
    }

    #[test]
    fn schemas_are_of_commands_that_there_are() {
        let mut all = BTreeMap::new();
        verbs(&tree(), "", &mut all);
        for document in inventory::iter::<Document> {
            let command = document.command;
            assert!(
                command == DRY_RUN || all.contains_key(command),
                "there is no command {command}"
            );
        }
    }
}
