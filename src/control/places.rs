//! Well-known places: the location codes that hosted libSQL users know (airport codes), so that a script that names them
//! runs on every control plane; and, offline, which of them is nearest to a time zone.

/// A place in the built-in table.
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

/// The code of this very machine, a place without coordinates.
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

/// Every built-in place but `local`, by code.
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

/// The built-in place of a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Place> {
    PLACES
        .binary_search_by(|place| place.code.cmp(code))
        .ok()
        .map(|index| &PLACES[index])
}
