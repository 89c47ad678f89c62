//! What a server's address may be, wherever it was written: on the command line, in the settings file or in a variable.

use url::Url;

/// Parses a server's address: HTTP, with a host, without a password, and the base that the API's paths are added to. The error
/// says what is wrong in words that follow a colon; it never repeats the address, which may hold a password.
pub fn parse_server_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let wrong = if !matches!(url.scheme(), "http" | "https") {
        "it does not begin with https:// or http://"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it holds a user name or password; pass the token with --token-stdin or --token-file"
    } else if url.query().is_some() || url.fragment().is_some() {
        "it has a query or a fragment"
    } else if matches!(
        url.path().trim_end_matches('/').rsplit('/').next(),
        Some("v1" | "v2" | "v3")
    ) {
        "it names a version of the API, which is added to each request"
    } else {
        return Ok(url);
    };
    Err(wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_url_with_another_scheme_or_a_password_is_refused_unquoted() {
        for (text, why) in [
            ("file:///etc/hush", "does not begin"),
            ("libsql://hush.example.com", "does not begin"),
            ("https://me:hush@example.com", "password"),
            ("https://hush@example.com", "password"),
            ("https://me:hush@example.com:99999", "port"),
            ("https://example.com/?token=hush", "query"),
            ("https://example.com/#hush", "fragment"),
            ("https://example.com/v1/", "version"),
            ("hush", "relative"),
        ] {
            let refused = parse_server_url(text).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("hush"), "{text}: {refused}");
        }
        assert_eq!(parse_server_url("https://example.com/x").unwrap().path(), "/x");
    }
}
