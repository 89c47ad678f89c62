//! Judges what a file that somebody sent keeps of vector indexes. libSQL's engine trusts it: it reads and writes memory by the
//! parameters of an index, and by how many edges a node says that it has. The layout is that of the engine's `vectordiskann.c`:
//! whatever passes here stays within the memory that the engine takes for it.

use super::super::sqlite;
use super::texts;
use crate::error::{Code, Error, Result};
use crate::sqltext::policy::{VECTOR_INDEX_TABLE, VECTOR_SHADOW_COLUMN, VECTOR_SHADOW_SUFFIX};
use crate::sqltext::quote::{identifier, literal};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::path::Path;

/// The engine's limits: bytes of all parameters of an index, its dimensions, and bytes of a node.
const LONGEST_PARAMETERS: usize = 128;
const MOST_DIMENSIONS: u64 = 65_536;
const LARGEST_NODE: u64 = 128 << 20;

/// How many candidates a search may keep. The engine has no limit, but takes memory for all of them.
const MOST_CANDIDATES: u64 = 1_000_000;

/// Where a node has the number of its edges.
const EDGES_AT: usize = 8;

/// The bytes beside the vector of each edge.
const EDGE_METADATA: u64 = 16;

/// What the parameters of an index mean for its nodes.
#[derive(Debug, PartialEq, Eq)]
struct NodeLayout {
    bytes: u64,
    most_edges: u64,
}

/// The parameters of an index: a tag of one byte and a value of eight each, of which the last with a tag counts.
struct Parameters<'b>(&'b [u8]);

impl Parameters<'_> {
    fn get(&self, tag: u8) -> u64 {
        let with_tag = self.0.as_chunks::<9>().0.iter().rev().find(|entry| entry[0] == tag);
        with_tag.map_or(0, |[_, value @ ..]| u64::from_le_bytes(*value))
    }
}

impl NodeLayout {
    /// The layout by the parameters of an index; none where the engine would not have written them.
    fn parse(parameters: &[u8]) -> Option<Self> {
        if parameters.len() > LONGEST_PARAMETERS || !parameters.len().is_multiple_of(9) {
            return None;
        }
        let parameters = Parameters(parameters);
        let [format, kind, of_node, dimensions, metric, block] = [1, 2, 3, 4, 5, 6].map(|tag| parameters.get(tag));
        let [while_inserted, while_searched, of_edges] = [8, 9, 11].map(|tag| parameters.get(tag));
        let is_known = matches!(format, 1..=3)
            && matches!(kind, 0 | 1)
            && matches!(metric, 1 | 2)
            && (1..=MOST_DIMENSIONS).contains(&dimensions)
            && while_inserted.max(while_searched) <= MOST_CANDIDATES;
        if !is_known {
            return None;
        }
        let of_edges = if of_edges == 0 { of_node } else { of_edges };
        // Small numbers are in units of 512 bytes.
        let bytes = if block <= 128 { block << 9 } else { block };
        let node = vector_bytes(of_node, dimensions)? + if format <= 2 { 10 } else { 16 };
        let edge = vector_bytes(of_edges, dimensions)? + EDGE_METADATA;
        let most_edges = bytes.checked_sub(node)? / edge;
        (bytes <= LARGEST_NODE && most_edges > 0).then_some(Self { bytes, most_edges })
    }

    /// What is wrong with a node, if anything.
    fn find_fault(&self, node: &[u8]) -> Option<String> {
        let bytes = node.len() as u64;
        if bytes < self.bytes {
            return Some(format!("a node has {bytes} bytes of {}", self.bytes));
        }
        let edges = u64::from(u16::from_le_bytes([node[EDGES_AT], node[EDGES_AT + 1]]));
        (edges > self.most_edges).then(|| format!("a node has {edges} edges of at most {}", self.most_edges))
    }
}

/// Bytes of a vector by the number of its type; none for one that the engine does not have.
fn vector_bytes(of_type: u64, dimensions: u64) -> Option<u64> {
    Some(match of_type {
        1 => dimensions * 4,
        2 => dimensions * 8,
        3 => dimensions.div_ceil(8),
        // With two numbers that say how it was compressed.
        4 => dimensions.next_multiple_of(4) + 8,
        5 | 6 => dimensions * 2,
        _ => return None,
    })
}

/// Refuses a file whose vector indexes the engine could not use without harm: also those that an index would be made over later.
pub(super) fn check(connection: &Connection, seed: &Path) -> Result<()> {
    let failed = |error| sqlite(seed, error);
    let tables = format!(
        "SELECT name, '' FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
         AND lower(substr(name, -{})) = {} AND lower(name) <> {}",
        VECTOR_SHADOW_SUFFIX.len(),
        literal(VECTOR_SHADOW_SUFFIX),
        literal(VECTOR_INDEX_TABLE),
    );
    let layouts = read_layouts(connection, seed)?;
    for (table, _) in texts(connection, &tables).map_err(failed)? {
        let columns = format!(
            "SELECT name, '' FROM pragma_table_xinfo({}) WHERE lower(name) = {}",
            literal(&table),
            literal(VECTOR_SHADOW_COLUMN)
        );
        if texts(connection, &columns).map_err(failed)?.is_empty() {
            continue;
        }
        let index = &table[..table.len() - VECTOR_SHADOW_SUFFIX.len()];
        let of_it = layouts.iter().filter(|(name, _)| name.eq_ignore_ascii_case(index));
        let of_it: Vec<&NodeLayout> = of_it.map(|(_, layout)| layout).collect();
        if let Some(fault) = find_fault(connection, &table, &of_it).map_err(failed)? {
            return refuse(seed, index, &fault);
        }
    }
    Ok(())
}

/// The layouts of all indexes that the file has parameters of, by name.
fn read_layouts(connection: &Connection, seed: &Path) -> Result<Vec<(String, NodeLayout)>> {
    let failed = |error| sqlite(seed, error);
    if !connection.table_exists(None, VECTOR_INDEX_TABLE).map_err(failed)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT CAST(name AS TEXT), metadata FROM {VECTOR_INDEX_TABLE}");
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut layouts = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let name = super::text(row, 0).map_err(failed)?;
        let layout = match row.get_ref(1).map_err(failed)? {
            ValueRef::Blob(parameters) => NodeLayout::parse(parameters),
            _ => None,
        };
        match layout {
            Some(layout) => layouts.push((name, layout)),
            None => return refuse(seed, &name, "its parameters are not those of an index"),
        }
    }
    Ok(layouts)
}

/// What is wrong with the nodes of a table, if anything.
fn find_fault(connection: &Connection, table: &str, layouts: &[&NodeLayout]) -> rusqlite::Result<Option<String>> {
    let sql = format!("SELECT {VECTOR_SHADOW_COLUMN} FROM {}", identifier(table));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let node = match row.get_ref(0)? {
            // The engine reads neither.
            ValueRef::Null => continue,
            ValueRef::Blob(node) if !layouts.is_empty() => node,
            ValueRef::Blob(_) => return Ok(Some("it has nodes and no parameters".to_owned())),
            _ => return Ok(Some("a node is no blob".to_owned())),
        };
        if let Some(fault) = layouts.iter().find_map(|layout| layout.find_fault(node)) {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

fn refuse<T>(seed: &Path, index: &str, why: &str) -> Result<T> {
    Err(Error::new(
        Code::InvalidFile,
        format!(
            "{} cannot become a database: the vector index {index:?} is damaged: {why}",
            seed.display()
        ),
    )
    .hint(format!(
        "drop the index {index:?} and the table {index}{VECTOR_SHADOW_SUFFIX} from it, and create the index afterwards"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(values: &[(u8, u64)]) -> Vec<u8> {
        let entry = |(tag, value): &(u8, u64)| [&[*tag][..], &value.to_le_bytes()].concat();
        values.iter().flat_map(entry).collect()
    }

    /// Three dimensions of 32 bits in a node of 256 bytes.
    const SOUND: [(u8, u64); 9] = [
        (1, 3),
        (3, 1),
        (4, 3),
        (2, 1),
        (5, 1),
        (6, 256),
        (7, 0x3ff3_3333_3333_3333),
        (8, 70),
        (9, 200),
    ];

    #[test]
    fn vector_index_parameters_give_the_layout_of_nodes() {
        let sound = NodeLayout::parse(&parameters(&SOUND)).unwrap();
        assert_eq!((sound.bytes, sound.most_edges), (256, (256 - 28) / 28));
        let with = |tag: u8, value: u64| {
            let mut changed = parameters(&SOUND);
            changed.extend(parameters(&[(tag, value)]));
            NodeLayout::parse(&changed)
        };
        // Edges of one bit each; and the older header and unit.
        assert_eq!(with(11, 3).unwrap().most_edges, (256 - 28) / 17);
        assert_eq!(with(1, 1).unwrap().most_edges, (256 - 22) / 28);
        assert_eq!(with(6, 2).unwrap().bytes, 1024);
        for (tag, value) in [
            (1, 0),
            (1, 4),
            (2, 2),
            (3, 0),
            (3, 7),
            (4, 0),
            (4, 65_537),
            (4, 1000),
            (5, 0),
            (5, 3),
            (6, 0),
            (6, 129),
            (6, u64::MAX),
            (8, 1_000_001),
            (9, u64::MAX),
            (11, 7),
        ] {
            assert_eq!(with(tag, value).is_some(), (tag, value) == (6, 129), "{tag} {value}");
        }
        assert!(NodeLayout::parse(&parameters(&SOUND)[1..]).is_none());
        assert!(NodeLayout::parse(&parameters(&[SOUND[0]; 15])).is_none());
    }

    #[test]
    fn vector_index_node_with_too_many_edges_is_a_fault() {
        let layout = NodeLayout::parse(&parameters(&SOUND)).unwrap();
        let mut node = vec![0xff; 256];
        node[EDGES_AT..EDGES_AT + 2].copy_from_slice(&8_u16.to_le_bytes());
        assert_eq!(layout.find_fault(&node), None);
        assert!(layout.find_fault(&node[..255]).is_some());
        node[EDGES_AT..EDGES_AT + 2].copy_from_slice(&9_u16.to_le_bytes());
        assert!(layout.find_fault(&node).is_some());
    }
}
