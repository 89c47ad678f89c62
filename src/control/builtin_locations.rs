//! The built-in locations: the codes that users of hosted libSQL know (airport codes), so that a script that names them
//! runs on every control plane. Also finds the one nearest to a time zone, offline.

/// A built-in location.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuiltinLocation {
    pub code: &'static str,
    /// City and country.
    pub description: &'static str,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

/// The code of this machine, a location without coordinates.
pub const LOCAL: &str = "local";

/// How `local` is described.
pub const LOCAL_DESCRIPTION: &str = "This machine";

const fn builtin(code: &'static str, description: &'static str, lat: f64, lon: f64) -> BuiltinLocation {
    BuiltinLocation {
        code,
        description,
        lat,
        lon,
    }
}

/// Every built-in location but `local`, ordered by code.
pub const BUILTIN_LOCATIONS: [BuiltinLocation; 37] = [
    builtin("ams", "Amsterdam, Netherlands", 52.37, 4.90),
    builtin("arn", "Stockholm, Sweden", 59.33, 18.07),
    builtin("atl", "Atlanta, Georgia (US)", 33.75, -84.39),
    builtin("bog", "Bogotá, Colombia", 4.71, -74.07),
    builtin("bom", "Mumbai, India", 19.08, 72.88),
    builtin("bos", "Boston, Massachusetts (US)", 42.36, -71.06),
    builtin("cdg", "Paris, France", 48.86, 2.35),
    builtin("den", "Denver, Colorado (US)", 39.74, -104.99),
    builtin("dfw", "Dallas, Texas (US)", 32.78, -96.80),
    builtin("ewr", "Secaucus, New Jersey (US)", 40.79, -74.06),
    builtin("eze", "Ezeiza, Argentina", -34.85, -58.52),
    builtin("fra", "Frankfurt, Germany", 50.11, 8.68),
    builtin("gdl", "Guadalajara, Mexico", 20.66, -103.35),
    builtin("gig", "Rio de Janeiro, Brazil", -22.91, -43.17),
    builtin("gru", "São Paulo, Brazil", -23.55, -46.63),
    builtin("hkg", "Hong Kong, Hong Kong", 22.32, 114.17),
    builtin("hnd", "Tokyo Haneda, Japan", 35.55, 139.78),
    builtin("iad", "Ashburn, Virginia (US)", 39.04, -77.49),
    builtin("jnb", "Johannesburg, South Africa", -26.20, 28.05),
    builtin("lax", "Los Angeles, California (US)", 34.05, -118.24),
    builtin("lhr", "London, United Kingdom", 51.51, -0.13),
    builtin("mad", "Madrid, Spain", 40.42, -3.70),
    builtin("mia", "Miami, Florida (US)", 25.76, -80.19),
    builtin("nrt", "Tokyo, Japan", 35.68, 139.69),
    builtin("ord", "Chicago, Illinois (US)", 41.88, -87.63),
    builtin("otp", "Bucharest, Romania", 44.43, 26.10),
    builtin("phx", "Phoenix, Arizona (US)", 33.45, -112.07),
    builtin("qro", "Querétaro, Mexico", 20.59, -100.39),
    builtin("scl", "Santiago, Chile", -33.45, -70.67),
    builtin("sea", "Seattle, Washington (US)", 47.61, -122.33),
    builtin("sin", "Singapore, Singapore", 1.35, 103.82),
    builtin("sjc", "San Jose, California (US)", 37.34, -121.89),
    builtin("syd", "Sydney, Australia", -33.87, 151.21),
    builtin("waw", "Warsaw, Poland", 52.23, 21.01),
    builtin("yul", "Montreal, Canada", 45.50, -73.57),
    builtin("yyz", "Toronto, Canada", 43.65, -79.38),
    builtin("zrh", "Zurich, Switzerland", 47.38, 8.54),
];

/// The built-in location with a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static BuiltinLocation> {
    BUILTIN_LOCATIONS
        .binary_search_by(|location| location.code.cmp(code))
        .ok()
        .map(|index| &BUILTIN_LOCATIONS[index])
}

/// The one built-in location whose description has all words of a name such as `paris` or `san-jose`.
#[must_use]
pub fn find_by_name(name: &str) -> Option<&'static BuiltinLocation> {
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let wanted = words(name);
    let mut fitting = BUILTIN_LOCATIONS.iter().filter(|location| {
        let there = words(location.description);
        !wanted.is_empty() && wanted.iter().all(|word| there.contains(word))
    });
    fitting.next().filter(|_| fitting.next().is_none())
}

/// The principal city of each time zone, one a line: `<zone> <degrees north> <degrees east>`.
const ZONES: &str = include_str!("zones.txt");

/// The built-in location nearest to the principal city of a time zone, given by its name in the time zone database;
/// none for a zone without a city, such as UTC. Uses no network, so it is only as accurate as the machine's time zone.
#[must_use]
pub fn nearest(timezone: &str) -> Option<&'static BuiltinLocation> {
    let mut fields = ZONES
        .lines()
        .find_map(|line| line.strip_prefix(timezone)?.strip_prefix(' '))?
        .split(' ');
    let (lat, lon) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let far = |location: &&BuiltinLocation| distance_km(lat, lon, location.lat, location.lon);
    BUILTIN_LOCATIONS.iter().min_by(|a, b| far(a).total_cmp(&far(b)))
}

/// The great-circle distance between two points in kilometres, on a spherical earth. The points are in degrees north
/// and east.
#[must_use]
pub fn distance_km(lat: f64, lon: f64, other_lat: f64, other_lon: f64) -> f64 {
    const RADIUS_KM: f64 = 6_371.0;
    let (from, to) = (lat.to_radians(), other_lat.to_radians());
    let half_north = ((to - from) / 2.0).sin();
    let half_east = ((other_lon - lon).to_radians() / 2.0).sin();
    // The haversine formula, which stays exact for small distances.
    let chord = half_north * half_north + from.cos() * to.cos() * half_east * half_east;
    2.0 * RADIUS_KM * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::names::LocationCode;

    #[test]
    fn builtin_locations_are_sorted_and_their_codes_parse() {
        assert!(BUILTIN_LOCATIONS.is_sorted_by(|a, b| a.code < b.code));
        for location in &BUILTIN_LOCATIONS {
            assert_eq!(location.code.parse::<LocationCode>().unwrap().as_str(), location.code);
            assert_eq!(find(location.code), Some(location));
        }
        assert_eq!(find(LOCAL), None);
    }

    #[test]
    fn location_is_found_by_its_codes_and_names() {
        let code = |name| find_by_name(name).map(|location| location.code);
        assert_eq!(code("paris"), Some("cdg"));
        assert_eq!(code("san-jose"), Some("sjc"));
        assert_eq!(code("netherlands"), Some("ams"));
        for many_or_none in ["us", "canada", "atlantis", "-", ""] {
            assert_eq!(code(many_or_none), None, "{many_or_none}");
        }
    }

    #[test]
    fn nearest_location_of_a_time_zone_is_found() {
        for (zone, code) in [
            ("Europe/Amsterdam", "ams"),
            ("Europe/Berlin", "fra"),
            ("Europe/London", "lhr"),
            ("America/New_York", "ewr"),
            ("US/Pacific", "lax"),
            ("Asia/Tokyo", "nrt"),
            ("Asia/Calcutta", "bom"),
            ("Australia/Sydney", "syd"),
            ("Pacific/Auckland", "syd"),
            ("Africa/Johannesburg", "jnb"),
        ] {
            assert_eq!(nearest(zone).map(|location| location.code), Some(code), "{zone}");
        }
        for zone in ["UTC", "Etc/GMT+3", "", "Europe", "Europe/Ber", "#", "nowhere"] {
            assert_eq!(nearest(zone), None, "{zone}");
        }
    }

    #[test]
    fn time_zones_all_have_a_nearest_location() {
        for line in ZONES.lines().filter(|line| !line.starts_with('#')) {
            let zone = line.split(' ').next().unwrap();
            assert!(nearest(zone).is_some(), "{line}");
        }
    }

    #[test]
    fn distance_is_that_of_the_great_circle() {
        assert!((distance_km(52.37, 4.90, 51.51, -0.13) - 358.0).abs() < 5.0);
        assert!(distance_km(0.0, 179.5, 0.0, -179.5) < 120.0);
    }
}
