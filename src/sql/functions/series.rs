//! `generate_series(START, STOP, STEP)`: a table of integers.
//!
//! It counts up from START to STOP. With a STEP below 0 it counts down: to STOP where that is smaller, and where it is larger
//! through the same numbers as upwards. Without STOP there is an end all the same; any of them that is NULL leaves no row.

use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection, VTabCursor,
};
use rusqlite::{Connection, Error, Result, ffi};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

/// Columns after `value`, which stand for the arguments. A bit of the plan tells that the argument was given.
const START: c_int = 1;
const STOP: c_int = 2;
const STEP: c_int = 3;

/// More bits of the plan: the order that is asked for.
const ASCENDING: c_int = 1 << 4;
const DESCENDING: c_int = 1 << 5;

/// The end where none is given.
const FAR: i64 = 0xffff_ffff;

pub(super) fn register(connection: &Connection) -> Result<()> {
    const MODULE: Module<Series> = Module::eponymous_only_module();
    connection.create_module(c"generate_series", &MODULE, None::<()>)
}

#[repr(C)]
struct Series {
    base: ffi::sqlite3_vtab,
}

// SAFETY: the base comes first, and is SQLite's own to fill.
#[allow(unsafe_code)]
unsafe impl<'vtab> VTab<'vtab> for Series {
    type Aux = ();
    type Cursor = Cursor<'vtab>;

    fn connect(
        db: &mut VTabConnection,
        _: Option<&()>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let base = ffi::sqlite3_vtab::default();
        let columns = c"CREATE TABLE x(value,start hidden,stop hidden,step hidden)";
        Ok((columns.into(), Self { base }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut bounds = [None; 3];
        let (mut start_told, mut unusable) = (false, [false; 3]);
        for (at, constraint) in info.constraints().enumerate() {
            let Ok(argument) = usize::try_from(constraint.column() - START) else {
                continue;
            };
            let equal = constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ;
            start_told |= equal && argument == 0;
            if !constraint.is_usable() {
                unusable[argument] = true;
            } else if equal {
                bounds[argument] = Some(at);
            }
        }
        if !start_told {
            return Err(Error::ModuleError(
                "first argument to \"generate_series()\" missing or unusable".to_owned(),
            ));
        }
        if bounds
            .iter()
            .zip(unusable)
            .any(|(bounds, unusable)| unusable && bounds.is_none())
        {
            return Ok(false);
        }
        let mut plan = 0;
        let mut arguments = 0;
        for (at, column) in bounds.into_iter().zip(START..) {
            if let Some(at) = at {
                arguments += 1;
                plan |= 1 << column;
                let mut usage = info.constraint_usage(at);
                usage.set_argv_index(arguments);
                usage.set_omit(true);
            }
        }
        if bounds[0].is_some() && bounds[1].is_some() {
            info.set_estimated_cost(if bounds[2].is_some() { 1.0 } else { 2.0 });
            info.set_estimated_rows(1000);
            let order = info.order_bys().next().filter(|order| order.column() == 0);
            if let Some(descending) = order.map(|order| order.is_order_by_desc()) {
                plan |= if descending { DESCENDING } else { ASCENDING };
                info.set_order_by_consumed(true);
            }
        } else {
            // So dear that it is only used where nothing else is left.
            info.set_estimated_rows(i64::from(i32::MAX));
        }
        info.set_idx_num(plan);
        Ok(true)
    }

    fn open(&mut self) -> Result<Cursor<'_>> {
        Ok(Cursor::default())
    }
}

#[derive(Default)]
#[repr(C)]
struct Cursor<'vtab> {
    base: ffi::sqlite3_vtab_cursor,
    /// As the columns tell them.
    arguments: [i64; 3],
    numbers: Numbers,
    table: PhantomData<&'vtab Series>,
}

/// The numbers themselves.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Numbers {
    first: i64,
    /// From each to the next.
    step: u64,
    down: bool,
    /// How many come after the current one; none behind the last.
    left: Option<u64>,
    /// How many were before it.
    before: u64,
}

impl Numbers {
    /// From `start` to `stop`; in the order asked for, if one is.
    fn new(start: i64, stop: i64, step: i64, ascending: Option<bool>) -> Self {
        let size = step.unsigned_abs().max(1);
        // Above each other: start + k * size; or below each other, where it counts down to a smaller number.
        let below = step < 0 && start > stop;
        if start > stop && !below {
            return Self::default();
        }
        let left = start.abs_diff(stop) / size;
        let last = if below {
            start.wrapping_sub_unsigned(left.wrapping_mul(size))
        } else {
            start.wrapping_add_unsigned(left.wrapping_mul(size))
        };
        let ascending = ascending.unwrap_or(step >= 0);
        Self {
            first: if ascending == below { last } else { start },
            step: size,
            down: !ascending,
            left: Some(left),
            before: 0,
        }
    }

    fn current(&self) -> i64 {
        let way = self.before.wrapping_mul(self.step);
        if self.down {
            self.first.wrapping_sub_unsigned(way)
        } else {
            self.first.wrapping_add_unsigned(way)
        }
    }

    fn advance(&mut self) {
        self.left = self.left.and_then(|left| left.checked_sub(1));
        self.before = self.before.wrapping_add(1);
    }
}

/// A value as the integer that SQLite makes of it; none of NULL.
#[allow(clippy::cast_possible_truncation)] // beyond the range the ends of it are meant
fn integer(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number),
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            let text = text.trim_ascii_start();
            let (negative, digits) = match text.split_first() {
                Some((b'-', rest)) => (true, rest),
                Some((b'+', rest)) => (false, rest),
                _ => (false, text),
            };
            let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
            Some(digits.fold(0_i64, |number, digit| {
                let digit = i64::from(digit - b'0');
                let digit = if negative { -digit } else { digit };
                number.saturating_mul(10).saturating_add(digit)
            }))
        }
    }
}

// SAFETY: the base comes first, and is SQLite's own to fill.
#[allow(unsafe_code)]
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, plan: c_int, _: Option<&str>, args: &Filters<'_>) -> Result<()> {
        let mut values = args.iter();
        let mut argument = |column: c_int, otherwise: i64| {
            if plan & (1 << column) == 0 {
                Some(otherwise)
            } else {
                values.next().and_then(integer)
            }
        };
        let bounds = (argument(START, 0), argument(STOP, FAR), argument(STEP, 1));
        let ascending = match plan & (ASCENDING | DESCENDING) {
            ASCENDING => Some(true),
            DESCENDING => Some(false),
            _ => None,
        };
        let (Some(start), Some(stop), Some(step)) = bounds else {
            self.numbers = Numbers::default();
            return Ok(());
        };
        self.numbers = Numbers::new(start, stop, step, ascending);
        let direction = match step {
            0 => 1,
            // As it always was told where the numbers are those upwards.
            step if start <= stop => step.wrapping_abs(),
            step => step,
        };
        self.arguments = [start, stop, direction];
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.numbers.advance();
        Ok(())
    }

    fn eof(&self) -> bool {
        self.numbers.left.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let argument = usize::try_from(column - START).ok();
        match argument.and_then(|argument| self.arguments.get(argument)) {
            Some(argument) => context.set_result(argument),
            None => context.set_result(self.numbers.current()),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(0_i64.wrapping_add_unsigned(self.numbers.before).wrapping_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers up to the hundredth, each as `rowid:value`.
    fn listed(query: &str) -> String {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let mut statement = connection
            .prepare(&format!("SELECT rowid || ':' || value FROM {query} LIMIT 100"))
            .unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn series_counts_up_and_down() {
        for (query, expected) in [
            ("generate_series(1,10,4)", "1:1 2:5 3:9"),
            ("generate_series(1,10,4) ORDER BY value DESC", "1:9 2:5 3:1"),
            ("generate_series(1,10,-4)", "1:9 2:5 3:1"),
            ("generate_series(1,10,-4) ORDER BY value", "1:1 2:5 3:9"),
            ("generate_series(2,-3,-2)", "1:2 2:0 3:-2"),
            ("generate_series(2,-3,-2) ORDER BY value", "1:-2 2:0 3:2"),
            ("generate_series(5,3)", ""),
            ("generate_series(3,4,0)", "1:3 2:4"),
            ("generate_series(7) LIMIT 0", ""),
        ] {
            let query = query.replace(" LIMIT 0", " WHERE 0");
            assert_eq!(listed(&query), expected, "{query}");
        }
    }

    #[test]
    fn series_arguments_are_made_integers_as_in_sqlite() {
        for (arguments, expected) in [
            ("'2x','3'", "1:2 2:3"),
            ("' -1', +0.9", "1:-1 2:0"),
            ("x'31', 2e0", "1:1 2:2"),
            ("1, NULL", ""),
            ("NULL", ""),
            ("1e300, 9223372036854775807", "1:9223372036854775807"),
            ("'99999999999999999999', 1e300", "1:9223372036854775807"),
        ] {
            assert_eq!(
                listed(&format!("generate_series({arguments})")),
                expected,
                "{arguments}"
            );
        }
    }

    #[test]
    fn series_at_the_ends_of_the_range_ends() {
        const LEAST: &str = "-9223372036854775808";
        const MOST: &str = "9223372036854775807";
        for (arguments, expected) in [
            (format!("{MOST},{MOST}"), format!("1:{MOST}")),
            (format!("{MOST},{MOST},-1"), format!("1:{MOST}")),
            (format!("{LEAST},{LEAST},{LEAST}"), format!("1:{LEAST}")),
            (
                format!("{LEAST},{MOST},{MOST}"),
                format!("1:{LEAST} 2:-1 3:9223372036854775806"),
            ),
            (format!("{MOST},{LEAST},{LEAST}"), format!("1:{MOST} 2:-1")),
        ] {
            assert_eq!(
                listed(&format!("generate_series({arguments})")),
                expected,
                "{arguments}"
            );
        }
        assert!(listed(&format!("generate_series({LEAST},{MOST})")).ends_with(" 100:-9223372036854775709"));
        let down = listed(&format!("generate_series({LEAST},{MOST}) ORDER BY value DESC"));
        assert!(down.starts_with(&format!("1:{MOST} 2:9223372036854775806 ")), "{down}");
    }

    #[test]
    fn series_without_a_start_is_an_error() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        for from in ["generate_series", "generate_series WHERE stop = 3"] {
            let error = connection
                .prepare(&format!("SELECT * FROM {from}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("missing or unusable"), "{error}");
        }
        let joined = "SELECT group_concat(s.value) FROM json_each('[1,2]') j, generate_series(j.value, 2) s";
        let numbers: Result<String> = connection.query_row(joined, [], |row| row.get(0));
        assert_eq!(numbers.unwrap(), "1,2,2");
    }
}
