//! Column names for a table made from a header line.

use std::collections::HashMap;

/// A column that could not keep its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

/// Names that are all different, letter case apart. An empty one becomes `?`; those that occur more than once get `_` and
/// their column's number, with as many zeros before it as it takes.
pub fn unique(header: &[String]) -> (Vec<String>, Vec<Renamed>) {
    let names: Vec<&str> = header
        .iter()
        .map(|name| if name.is_empty() { "?" } else { name.as_str() })
        .collect();
    let mut count: HashMap<String, usize> = HashMap::new();
    for name in &names {
        *count.entry(name.to_ascii_lowercase()).or_default() += 1;
    }
    let repeated = |name: &str| count.get(&name.to_ascii_lowercase()).is_some_and(|&count| count > 1);
    let numbered = |zeros: usize| -> Vec<String> {
        let name = |(index, name): (usize, &&str)| match repeated(name) {
            true => format!("{name}_{}{}", "0".repeat(zeros), index + 1),
            false => (*name).to_owned(),
        };
        names.iter().enumerate().map(name).collect()
    };
    let all_differ = |names: &Vec<String>| {
        let mut seen = std::collections::HashSet::new();
        names.iter().all(|name| seen.insert(name.to_ascii_lowercase()))
    };
    // Each further zero can only collide with a name that is longer still.
    let unique = (0..).map(numbered).find(all_differ).unwrap_or_default();
    let renamed = names
        .iter()
        .zip(&unique)
        .filter(|(from, to)| **from != to.as_str())
        .map(|(from, to)| Renamed {
            from: (*from).to_owned(),
            to: to.clone(),
        })
        .collect();
    (unique, renamed)
}
