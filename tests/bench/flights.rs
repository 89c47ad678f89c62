//! A table like the flights out of New York in 2013: 19 columns of numbers, codes, missing values and times. The same
//! bytes for the same number of rows.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const CARRIERS: [&str; 8] = ["UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN"];
const ORIGINS: [&str; 3] = ["EWR", "LGA", "JFK"];
const DESTINATIONS: [&str; 10] = ["IAH", "MIA", "BQN", "ATL", "ORD", "FLL", "IAD", "MCO", "PBI", "TPA"];

/// Numbers that look random and never change (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Writes the file.
pub fn write(path: &Path, rows: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(
        b"year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,\
          dest,air_time,distance,hour,minute,time_hour\n",
    )?;
    let mut numbers = Numbers(2013);
    for row in 0..rows {
        let month = row * 12 / rows.max(1) + 1;
        let day = numbers.below(28) + 1;
        let (hour, minute) = (numbers.below(19) + 5, numbers.below(60));
        let flown = numbers.below(40) > 0;
        let missing = |value: u64| if flown { value.to_string() } else { "NA".to_owned() };
        let delay = numbers.below(120);
        let air = numbers.below(600) + 30;
        let late = if delay < 60 {
            format!("-{}", delay % 20)
        } else {
            (delay - 60).to_string()
        };
        writeln!(
            out,
            "2013,{month},{day},{},{},{},{},{},{},{},{},N{}{},{},{},{},{}.5,{hour},{minute},2013-{month:02}-{day:02} {hour:02}:00:00",
            missing(hour * 100 + minute),
            hour * 100,
            if flown { &late } else { "NA" },
            missing((hour * 100 + air) % 2400),
            (hour * 100 + air + 5) % 2400,
            if flown { &late } else { "NA" },
            numbers.one_of(&CARRIERS),
            numbers.below(6000) + 1,
            numbers.below(900) + 100,
            numbers.one_of(&CARRIERS),
            numbers.one_of(&ORIGINS),
            numbers.one_of(&DESTINATIONS),
            missing(air),
            air * 7,
        )?;
    }
    out.flush()
}
