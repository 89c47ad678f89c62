//! The built-in locations: the codes that users of hosted libSQL know (airport codes), so that a script that names them
//! runs on every control plane. Also finds the one nearest to a time zone, offline.

/// A built-in location.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
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

const fn place(code: &'static str, description: &'static str, lat: f64, lon: f64) -> Place {
    Place {
        code,
        description,
        lat,
        lon,
    }
}

/// Every built-in location but `local`, ordered by code.
pub const PLACES: [Place; 37] = [
    place("ams", "Amsterdam, Netherlands", 52.37, 4.90),
    place("arn", "Stockholm, Sweden", 59.33, 18.07),
    place("atl", "Atlanta, Georgia (US)", 33.75, -84.39),
    place("bog", "Bogotá, Colombia", 4.71, -74.07),
    place("bom", "Mumbai, India", 19.08, 72.88),
    place("bos", "Boston, Massachusetts (US)", 42.36, -71.06),
    place("cdg", "Paris, France", 48.86, 2.35),
    place("den", "Denver, Colorado (US)", 39.74, -104.99),
    place("dfw", "Dallas, Texas (US)", 32.78, -96.80),
    place("ewr", "Secaucus, New Jersey (US)", 40.79, -74.06),
    place("eze", "Ezeiza, Argentina", -34.85, -58.52),
    place("fra", "Frankfurt, Germany", 50.11, 8.68),
    place("gdl", "Guadalajara, Mexico", 20.66, -103.35),
    place("gig", "Rio de Janeiro, Brazil", -22.91, -43.17),
    place("gru", "São Paulo, Brazil", -23.55, -46.63),
    place("hkg", "Hong Kong, Hong Kong", 22.32, 114.17),
    place("hnd", "Tokyo Haneda, Japan", 35.55, 139.78),
    place("iad", "Ashburn, Virginia (US)", 39.04, -77.49),
    place("jnb", "Johannesburg, South Africa", -26.20, 28.05),
    place("lax", "Los Angeles, California (US)", 34.05, -118.24),
    place("lhr", "London, United Kingdom", 51.51, -0.13),
    place("mad", "Madrid, Spain", 40.42, -3.70),
    place("mia", "Miami, Florida (US)", 25.76, -80.19),
    place("nrt", "Tokyo, Japan", 35.68, 139.69),
    place("ord", "Chicago, Illinois (US)", 41.88, -87.63),
    place("otp", "Bucharest, Romania", 44.43, 26.10),
    place("phx", "Phoenix, Arizona (US)", 33.45, -112.07),
    place("qro", "Querétaro, Mexico", 20.59, -100.39),
    place("scl", "Santiago, Chile", -33.45, -70.67),
    place("sea", "Seattle, Washington (US)", 47.61, -122.33),
    place("sin", "Singapore, Singapore", 1.35, 103.82),
    place("sjc", "San Jose, California (US)", 37.34, -121.89),
    place("syd", "Sydney, Australia", -33.87, 151.21),
    place("waw", "Warsaw, Poland", 52.23, 21.01),
    place("yul", "Montreal, Canada", 45.50, -73.57),
    place("yyz", "Toronto, Canada", 43.65, -79.38),
    place("zrh", "Zurich, Switzerland", 47.38, 8.54),
];

/// The built-in location with a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Place> {
    PLACES
        .binary_search_by(|place| place.code.cmp(code))
        .ok()
        .map(|index| &PLACES[index])
}

/// The one built-in location whose description has all words of a name such as `paris` or `san-jose`.
#[must_use]
pub fn called(name: &str) -> Option<&'static Place> {
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let wanted = words(name);
    let mut fitting = PLACES.iter().filter(|place| {
        let there = words(place.description);
        !wanted.is_empty() && wanted.iter().all(|word| there.contains(word))
    });
    fitting.next().filter(|_| fitting.next().is_none())
}

/// The principal city of each time zone, one a line: `<zone> <degrees north> <degrees east>`.
const ZONES: &str = include_str!("zones.txt");

/// The built-in location nearest to the principal city of a time zone, given by its name in the time zone database;
/// none for a zone without a city, such as UTC. Uses no network, so it is only as accurate as the machine's time zone.
#[must_use]
pub fn nearest(timezone: &str) -> Option<&'static Place> {
    let mut fields = ZONES
        .lines()
        .find_map(|line| line.strip_prefix(timezone)?.strip_prefix(' '))?
        .split(' ');
    let (lat, lon) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let far = |place: &&Place| distance_km(lat, lon, place.lat, place.lon);
    PLACES.iter().min_by(|a, b| far(a).total_cmp(&far(b)))
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
    fn the_table_is_sorted_and_its_codes_are_names() {
        assert!(PLACES.is_sorted_by(|a, b| a.code < b.code));
        for place in &PLACES {
            assert_eq!(place.code.parse::<LocationCode>().unwrap().as_str(), place.code);
            assert_eq!(find(place.code), Some(place));
        }
        assert_eq!(find(LOCAL), None);
    }

    #[test]
    fn places_are_found_by_what_they_are_called() {
        let code = |name| called(name).map(|place| place.code);
        assert_eq!(code("paris"), Some("cdg"));
        assert_eq!(code("san-jose"), Some("sjc"));
        assert_eq!(code("netherlands"), Some("ams"));
        for many_or_none in ["us", "canada", "atlantis", "-", ""] {
            assert_eq!(code(many_or_none), None, "{many_or_none}");
        }
    }

    #[test]
    fn near_places() {
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
            assert_eq!(nearest(zone).map(|place| place.code), Some(code), "{zone}");
        }
        for zone in ["UTC", "Etc/GMT+3", "", "Europe", "Europe/Ber", "#", "nowhere"] {
            assert_eq!(nearest(zone), None, "{zone}");
        }
    }

    #[test]
    fn every_zone_is_somewhere() {
        for line in ZONES.lines().filter(|line| !line.starts_with('#')) {
            let zone = line.split(' ').next().unwrap();
            assert!(nearest(zone).is_some(), "{line}");
        }
    }

    #[test]
    fn distances() {
        assert!((distance_km(52.37, 4.90, 51.51, -0.13) - 358.0).abs() < 5.0);
        assert!(distance_km(0.0, 179.5, 0.0, -179.5) < 120.0);
    }
}
