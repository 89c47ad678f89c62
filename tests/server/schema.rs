//! Answers held against the API's own document (OpenAPI 3.0, beside the other data). The document requires nothing, so here
//! everything that it describes has to be there, but what it says may be absent.

use serde_json::{Map, Value, json};

/// What the document's words say may be absent from an API token.
const OPTIONAL: &[&str] = &["organization", "group", "scopes"];

pub struct Document(Value);

impl Document {
    pub fn load() -> Self {
        let text = std::fs::read_to_string(crate::support::data("platform-api.openapi.json")).unwrap();
        let mut document = serde_json::from_str(&text).unwrap();
        without_nullable(&mut document);
        // More is noted in the audit log here than there; docs/api.md says so.
        let code = document
            .pointer_mut("/components/schemas/AuditLog/properties/code")
            .unwrap();
        code.as_object_mut().unwrap().remove("enum").unwrap();
        Self(document)
    }

    /// Every method and path, in the document's words.
    pub fn operations(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (path, methods) in self.0["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                all.push((method.to_uppercase(), path.clone()));
            }
        }
        all
    }

    /// What is wrong with a success.
    pub fn faults(&self, method: &str, path: &str, answer: &Value) -> Vec<String> {
        let content = &self.0["paths"][path][method.to_lowercase()]["responses"]["200"]["content"];
        let Some(schema) = content.pointer("/application~1json/schema") else {
            // An answer without content in the document is an empty object here.
            return Vec::new();
        };
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft4)
            .build(&whole)
            .unwrap();
        let mut faults: Vec<String> = validator
            .iter_errors(answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        self.missing(schema, answer, "", &mut faults);
        faults
    }

    /// A schema without references: what is beside a reference does not count.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.0.pointer(reference.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    fn missing(&self, schema: &Value, answer: &Value, at: &str, faults: &mut Vec<String>) {
        let schema = self.resolved(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.missing(part, answer, at, faults);
        }
        if let Some(items) = answer.as_array() {
            for (index, item) in items.iter().enumerate() {
                self.missing(&schema["items"], item, &format!("{at}/{index}"), faults);
            }
        }
        let Some(members) = answer.as_object() else { return };
        let nothing = Map::new();
        for (name, property) in schema["properties"].as_object().unwrap_or(&nothing) {
            match members.get(name) {
                Some(value) => self.missing(property, value, &format!("{at}/{name}"), faults),
                None if at.starts_with("/tokens/") && OPTIONAL.contains(&name.as_str()) => {}
                None => faults.push(format!("{at}/{name} is missing")),
            }
        }
    }
}

/// What may be null, in the words of JSON Schema.
fn without_nullable(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(without_nullable);
            if members.remove("nullable") == Some(json!(true))
                && let Some(kind) = members.get("type").filter(|kind| kind.is_string()).cloned()
            {
                members.insert("type".to_owned(), json!([kind, "null"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_nullable),
        _ => {}
    }
}

#[test]
fn schema_check_finds_faults() {
    let document = Document::load();
    let faults = |answer: Value| {
        document.faults(
            "GET",
            "/v1/organizations/{organizationSlug}/groups/{groupName}",
            &answer,
        )
    };
    let group = json!({
        "name": "g", "version": "1", "uuid": "u", "locations": ["ams"], "primary": "ams", "delete_protection": false
    });
    assert!(faults(json!({ "group": group })).is_empty());
    let mut wrong = group.clone();
    wrong["locations"] = json!("ams");
    assert_eq!(faults(json!({ "group": wrong })).len(), 1);
    let mut less = group;
    less.as_object_mut().unwrap().remove("uuid");
    assert_eq!(faults(json!({ "group": less })), ["/group/uuid is missing"]);
    assert_eq!(faults(json!({})), ["/group is missing"]);
}
