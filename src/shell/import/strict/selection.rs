//! Which columns of a file go into a table, by the names in its header, and with which types a new table declares them.

use super::super::types::split_types;
use super::{ColumnKind, Survey};
use crate::error::{Code, Error, Result};

/// The columns that were asked for; by default all of the file's, with types told from their values.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub columns: Option<ColumnList>,
    pub types: Option<TypeList>,
}

/// Columns of a file, each perhaps with another name in the table: `id,town=city`. A name with a comma is in double quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList(Vec<String>);

/// Types for a new table's columns: one for each in order (`INTEGER,TEXT`), or for some by name (`price=DECIMAL(10,2)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeList(Vec<(Option<String>, String)>);

/// A column of a file, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picked {
    /// Its place in the file.
    pub index: usize,
    /// Its name in the table.
    pub name: String,
    /// The type that a user declared.
    pub declared: Option<String>,
    /// The type that its values allow.
    pub kind: ColumnKind,
}

impl Picked {
    /// What a new table declares.
    pub fn type_name(&self) -> &str {
        self.declared.as_deref().unwrap_or(self.kind.name())
    }
}

impl std::str::FromStr for ColumnList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = split_quoted(text);
        if names.iter().any(|name| name.trim().is_empty()) {
            return Err(
                Error::new(Code::InvalidValue, format!("{text:?} is not a list of columns"))
                    .hint("write it like id,name or id,town=city; a name with a comma is in double quotes"),
            );
        }
        Ok(Self(names.into_iter().map(|name| name.trim().to_owned()).collect()))
    }
}

impl std::str::FromStr for TypeList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::new(Code::InvalidValue, format!("{text:?} is not a list of types"))
                .hint("write it like INTEGER,TEXT, one for each column, or like price=REAL,zip=TEXT")
        };
        let mut list = Vec::new();
        for item in split_quoted(text) {
            let (name, declared) = match item.rsplit_once('=') {
                Some((name, declared)) => (Some(name.trim().to_owned()), declared),
                None => (None, item.as_str()),
            };
            match split_types(declared.trim()) {
                Some(types) if types.len() == 1 => list.push((name, declared.trim().to_owned())),
                _ => return Err(refuse()),
            }
        }
        let named = list.iter().filter(|(name, _)| name.is_some()).count();
        if named > 0 && named < list.len() {
            return Err(refuse());
        }
        Ok(Self(list))
    }
}

/// The parts between commas that are neither in double quotes nor in brackets; the quotes are taken off.
fn split_quoted(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut parts) = (0_usize, false, vec![String::new()]);
    for character in text.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                continue;
            }
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

/// The place of a column that is called `name`, in letters of either case where none is called just so.
fn place(names: &[String], name: &str) -> Option<usize> {
    let exact = names.iter().position(|known| known == name);
    exact.or_else(|| names.iter().position(|known| known.eq_ignore_ascii_case(name)))
}

impl Selection {
    /// The columns that are imported. `names` are those of the file, each once; `file` is what errors call it.
    pub(super) fn pick(&self, survey: &Survey, names: &[String], file: &str) -> Result<Vec<Picked>> {
        let unknown = |name: &str| {
            Error::new(Code::InvalidValue, format!("{file}:1: there is no column {name:?}"))
                .hint(format!("its columns are {}", names.join(", ")))
        };
        let picked = |index: usize, name: &str| Picked {
            index,
            name: name.to_owned(),
            declared: None,
            kind: survey.kinds[index],
        };
        let mut all: Vec<Picked> = Vec::new();
        match &self.columns {
            None => all.extend(names.iter().enumerate().map(|(index, name)| picked(index, name))),
            Some(ColumnList(list)) => {
                for wanted in list {
                    // A column's own name may have the sign.
                    let (from, to) = match wanted.split_once('=') {
                        Some((from, to)) if place(names, wanted).is_none() => (from, to),
                        _ => (wanted.as_str(), wanted.as_str()),
                    };
                    let index = place(names, from).ok_or_else(|| unknown(from))?;
                    let to = if from == to { &names[index] } else { to };
                    if all.iter().any(|other| other.name.eq_ignore_ascii_case(to)) {
                        let what = format!("two columns of {file} would be column {to:?} of the table");
                        return Err(
                            Error::new(Code::InvalidValue, what).hint("name each once, or rename one: town=city")
                        );
                    }
                    all.push(picked(index, to));
                }
            }
        }
        let Some(TypeList(types)) = &self.types else {
            return Ok(all);
        };
        let by_name = types.iter().any(|(name, _)| name.is_some());
        if !by_name && types.len() != all.len() {
            let what = format!(
                "{file} has {} columns, and types are given for {}",
                all.len(),
                types.len()
            );
            return Err(Error::new(Code::InvalidValue, what).hint("give one for each, or some by name: price=REAL"));
        }
        for (at, (name, declared)) in types.iter().enumerate() {
            let index = match name {
                None => at,
                Some(name) => {
                    let of_table: Vec<String> = all.iter().map(|picked| picked.name.clone()).collect();
                    place(&of_table, name)
                        .or_else(|| {
                            let index = place(names, name)?;
                            all.iter().position(|picked| picked.index == index)
                        })
                        .ok_or_else(|| unknown(name))?
                }
            };
            all[index].declared = Some(declared.clone());
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey() -> (Survey, Vec<String>) {
        let header: Vec<String> = ["id", "town", "a,b", "x=y"].map(str::to_owned).to_vec();
        let kinds = vec![
            ColumnKind::Integer,
            ColumnKind::Text,
            ColumnKind::Real,
            ColumnKind::Text,
        ];
        let names = header.clone();
        (Survey { header, kinds }, names)
    }

    fn pick(columns: Option<&str>, types: Option<&str>) -> std::result::Result<Vec<(usize, String, String)>, String> {
        let (survey, names) = survey();
        let selection = Selection {
            columns: columns.map(|text| text.parse().unwrap()),
            types: types.map(|text| text.parse().unwrap()),
        };
        let picked = selection
            .pick(&survey, &names, "a.csv")
            .map_err(|error| error.to_string())?;
        let describe = |picked: &Picked| (picked.index, picked.name.clone(), picked.type_name().to_owned());
        Ok(picked.iter().map(describe).collect())
    }

    fn owned(list: &[(usize, &str, &str)]) -> Vec<(usize, String, String)> {
        let own = |&(index, name, kind): &(usize, &str, &str)| (index, name.to_owned(), kind.to_owned());
        list.iter().map(own).collect()
    }

    #[test]
    fn import_columns_are_picked_and_renamed_by_name() {
        let all = [
            (0, "id", "INTEGER"),
            (1, "town", "TEXT"),
            (2, "a,b", "REAL"),
            (3, "x=y", "TEXT"),
        ];
        assert_eq!(pick(None, None).unwrap(), owned(&all));
        assert_eq!(
            pick(Some("TOWN=city, id"), None).unwrap(),
            owned(&[(1, "city", "TEXT"), (0, "id", "INTEGER")])
        );
        assert_eq!(
            pick(Some("\"a,b\"=c,x=y"), None).unwrap(),
            owned(&[(2, "c", "REAL"), (3, "x=y", "TEXT")])
        );
        for (columns, part) in [
            ("id,nam", "\"nam\""),
            ("id,ID", "two columns"),
            ("town=id,id", "two columns"),
        ] {
            let why = pick(Some(columns), None).unwrap_err();
            assert!(why.contains(part), "{columns}: {why}");
        }
        for none in ["", "id,", ",id"] {
            assert!(none.parse::<ColumnList>().is_err(), "{none}");
        }
    }

    #[test]
    fn import_types_are_declared_in_order_or_by_name() {
        assert_eq!(
            pick(Some("id,town=city"), Some("TEXT,VARCHAR(20)")).unwrap(),
            owned(&[(0, "id", "TEXT"), (1, "city", "VARCHAR(20)")])
        );
        let by_name = Some("city=DECIMAL(10,2),ID=DOUBLE PRECISION");
        assert_eq!(
            pick(Some("id,town=city"), by_name).unwrap(),
            owned(&[(0, "id", "DOUBLE PRECISION"), (1, "city", "DECIMAL(10,2)")])
        );
        assert!(pick(None, Some("TEXT")).unwrap_err().contains("types are given for 1"));
        assert!(pick(None, Some("price=TEXT")).unwrap_err().contains("\"price\""));
        for none in [
            "",
            "TEXT,",
            "id=TEXT,REAL",
            "TEXT; DROP TABLE t",
            "id='x'",
            "TEXT)",
            "TEXT(",
        ] {
            assert!(none.parse::<TypeList>().is_err(), "{none}");
        }
    }
}
