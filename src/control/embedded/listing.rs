//! Lists of databases, read from the catalog a page at a time, so that a list costs what is in it and not what is beside it.

use super::Embedded;
use super::catalog::databases::DatabaseRow;
use super::view::CatalogView;
use crate::control::DatabaseVisitor;
use crate::control::names::{DatabaseName, LocationCode};
use crate::control::types::{Database, DatabaseFilter};
use crate::error::Result;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Rows of the catalog that are read at once.
const PAGE: usize = 1_000;

/// See [`DatabaseOperations::visit_databases`](crate::control::DatabaseOperations::visit_databases).
pub fn visit(plane: &Embedded, filter: &DatabaseFilter, visit: &mut DatabaseVisitor<'_>) -> Result<()> {
    let Some(view) = plane.read()? else { return Ok(()) };
    let group = match &filter.group {
        Some(name) => Some(view.group(name)?.uuid),
        None => None,
    };
    let of_group = view.catalog.all_group_locations()?;
    let mut left = filter.limit.unwrap_or(usize::MAX);
    let mut after: Option<DatabaseName> = filter.after.clone();
    while left > 0 {
        // What a filter leaves out of a page is not known before it is read.
        let size = if filter.location.is_none() && filter.parent.is_none() {
            left.min(PAGE)
        } else {
            PAGE
        };
        let rows = view.catalog.database_page(after.as_ref(), group.as_deref(), size)?;
        let is_last = rows.len() < size;
        after = rows.last().map(|row| row.name.clone());
        let mut page = assemble(&view, rows, filter, &of_group)?;
        page.truncate(left);
        left -= page.len();
        if visit(page)? == ControlFlow::Break(()) || is_last {
            break;
        }
    }
    Ok(())
}

/// The databases of a page that pass the filter.
fn assemble(
    view: &CatalogView<'_>,
    rows: Vec<DatabaseRow>,
    filter: &DatabaseFilter,
    of_group: &BTreeMap<String, Vec<LocationCode>>,
) -> Result<Vec<Database>> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(Vec::new());
    };
    let of_database = view.catalog.database_locations_between(&first.name, &last.name)?;
    let mut page = Vec::with_capacity(rows.len());
    for row in rows {
        let mut replicas: Vec<LocationCode> = of_group.get(&row.group_uuid).cloned().unwrap_or_default();
        replicas.extend(of_database.get(&row.id).cloned().unwrap_or_default());
        replicas.retain(|location| *location != row.primary);
        replicas.sort();
        replicas.dedup();
        let wanted = match (&filter.location, &filter.parent) {
            (Some(location), _) if row.primary != *location && !replicas.contains(location) => false,
            (_, Some(parent)) => row.parent.as_ref().is_some_and(|of| of.id == *parent),
            _ => true,
        };
        if wanted {
            page.push(view.assemble(row, replicas));
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::types::CreateDatabase;
    use crate::control::{DatabaseOperations as _, InstanceOperations as _};

    fn plane(dir: &std::path::Path, count: usize) -> Embedded {
        let plane = Embedded::open(dir).unwrap();
        for number in 0..count {
            let request = CreateDatabase {
                name: format!("db-{number:02}").parse().unwrap(),
                group: None,
                location: Some("ams".parse().unwrap()),
                seed: None,
                size_limit: None,
                expires_at: None,
            };
            plane.create_database(&request).unwrap();
        }
        plane
    }

    fn names(plane: &Embedded, filter: &DatabaseFilter) -> Vec<String> {
        let all = plane.list_databases(filter).unwrap();
        all.into_iter().map(|database| database.name.to_string()).collect()
    }

    #[test]
    fn list_of_databases_begins_after_a_name_and_ends_at_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let plane = plane(dir.path(), 7);
        let page = |after: Option<&str>, limit| DatabaseFilter {
            after: after.map(|name| name.parse().unwrap()),
            limit,
            ..DatabaseFilter::default()
        };
        assert_eq!(names(&plane, &page(None, Some(2))), ["db-00", "db-01"]);
        assert_eq!(names(&plane, &page(Some("db-01"), Some(2))), ["db-02", "db-03"]);
        // The name need not be there.
        assert_eq!(names(&plane, &page(Some("db-05x"), None)), ["db-06"]);
        assert_eq!(names(&plane, &page(None, Some(0))), [""; 0]);
        assert_eq!(names(&plane, &page(None, Some(100))).len(), 7);
    }

    #[test]
    fn list_of_databases_counts_its_limit_after_the_filter() {
        let dir = tempfile::tempdir().unwrap();
        let plane = plane(dir.path(), 5);
        let lhr: LocationCode = "lhr".parse().unwrap();
        for name in ["db-01", "db-03", "db-04"] {
            plane.add_instance(&name.parse().unwrap(), &lhr).unwrap();
        }
        let filter = DatabaseFilter {
            location: Some(lhr),
            limit: Some(2),
            ..DatabaseFilter::default()
        };
        assert_eq!(names(&plane, &filter), ["db-01", "db-03"]);
    }

    #[test]
    fn list_of_databases_stops_when_its_reader_does() {
        let dir = tempfile::tempdir().unwrap();
        let plane = plane(dir.path(), 3);
        let mut pages = 0;
        plane
            .visit_databases(&DatabaseFilter::default(), &mut |page| {
                pages += 1;
                assert_eq!(page.len(), 3);
                Ok(ControlFlow::Break(()))
            })
            .unwrap();
        assert_eq!(pages, 1);
    }
}
