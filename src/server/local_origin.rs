//! Which pages in a browser may use a database that takes no token: those of this machine. A page of any other origin can send
//! requests to this machine too, as every browser allows, and nothing but this would keep it from the data.

use axum::http::{HeaderMap, HeaderName, header};
use url::{Host, Url};

/// What browsers say of where a request comes from, also where they send no `Origin`.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request comes from a program, or from a page of this machine, as far as the browser says.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        return headers.get(SEC_FETCH_SITE).is_none_or(|site| site != "cross-site");
    }
    origins.all(|origin| origin.to_str().is_ok_and(is_origin_of_this_machine))
}

fn is_origin_of_this_machine(origin: &str) -> bool {
    match Url::parse(origin).as_ref().map(Url::host) {
        Ok(Some(Host::Domain(name))) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Some(Host::Ipv4(address))) => address.is_loopback(),
        Ok(Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn origin_of_this_machine_is_told_from_others() {
        let with = |origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("cross-site"));
            is_local(&headers)
        };
        for local in [
            "http://localhost:3000",
            "https://app.localhost",
            "http://127.0.0.1:5173",
            "http://[::1]:8080",
        ] {
            assert!(with(local), "{local}");
        }
        for other in [
            "https://example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://192.168.1.5:3000",
            "null",
            "file://",
            "",
        ] {
            assert!(!with(other), "{other}");
        }
    }

    #[test]
    fn origin_that_is_absent_is_a_program_unless_the_browser_says_otherwise() {
        let mut headers = HeaderMap::new();
        assert!(is_local(&headers));
        headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
        assert!(is_local(&headers));
        headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("cross-site"));
        assert!(!is_local(&headers));
    }
}
