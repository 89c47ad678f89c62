//! Hundreds of forged and malformed tokens, each shown on every way in: none opens anything, and the true one still does.

use super::{Door, field, frame};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD as BASE64};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use torso::control::gateway_plane::GatewayPlane as _;
use torso::control::tokens::{Authorization, Expiration, NewToken};

/// Requests with a token in a header: the method, the path, the header's name, the body and its type.
fn requests() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>, &'static str)> {
    let sql = "insert into t values (1)";
    let stmt = json!({ "sql": sql });
    let batch = json!({ "batch": { "steps": [{ "stmt": stmt }] } });
    let json = |path, body: Value| {
        (
            "POST",
            path,
            "authorization",
            body.to_string().into_bytes(),
            "application/json",
        )
    };
    let encoded = field(1, sql.as_bytes());
    let step = field(2, &field(1, &field(2, &encoded)));
    let execute = field(2, &field(2, &field(1, &encoded)));
    let protobuf = |path, body| ("POST", path, "authorization", body, "application/x-protobuf");
    let mut all = vec![
        json("/v2/pipeline", super::pipeline(sql)),
        json("/v3/pipeline", super::pipeline(sql)),
        json("/v3/cursor", batch.clone()),
        json("/v1/execute", json!({ "stmt": stmt })),
        json("/v1/batch", batch),
        json("/", json!({ "statements": [sql] })),
        protobuf("/v3-protobuf/pipeline", execute),
        protobuf("/v3-protobuf/cursor", step),
        ("GET", "/dump", "authorization", Vec::new(), ""),
    ];
    let program = [
        field(1, b"6f0f7e2a-0000-4000-8000-000000000001"),
        field(2, &field(1, &field(2, &encoded))),
    ]
    .concat();
    for (path, message) in [
        ("/wal_log.ReplicationLog/Hello", vec![]),
        ("/wal_log.ReplicationLog/LogEntries", vec![]),
        ("/wal_log.ReplicationLog/BatchLogEntries", vec![]),
        ("/wal_log.ReplicationLog/Snapshot", vec![]),
        ("/proxy.Proxy/Execute", program),
        ("/proxy.Proxy/Describe", field(2, sql.as_bytes())),
        ("/proxy.Proxy/Disconnect", vec![]),
    ] {
        for header in ["x-authorization", "authorization"] {
            all.push(("POST", path, header, frame(0, &message), "application/grpc-web+proto"));
        }
    }
    all
}

/// A JWT of any header and claims, signed by a key.
fn signed(head: &str, claims: &str, key: &Ed25519KeyPair) -> String {
    let text = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims));
    let signature = BASE64.encode(key.sign(text.as_bytes()).as_ref());
    format!("{text}.{signature}")
}

fn hmac(algorithm: ring::hmac::Algorithm, head: &str, claims: &str, secret: &[u8]) -> String {
    let text = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims));
    let tag = ring::hmac::sign(&ring::hmac::Key::new(algorithm, secret), text.as_bytes());
    format!("{text}.{}", BASE64.encode(tag.as_ref()))
}

/// The claims with one of them another, or gone.
fn with(claims: &Value, key: &str, value: Option<Value>) -> String {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => drop(members.insert(key.to_owned(), value)),
        None => drop(members.remove(key)),
    }
    claims.to_string()
}

/// Everything that is not the token, and looks like one more or less.
fn forgeries(door: &Door, token: &str, other: &str) -> BTreeSet<String> {
    let [head, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let plain = String::from_utf8(BASE64.decode(claims).unwrap()).unwrap();
    let told: Value = serde_json::from_str(&plain).unwrap();
    let pem = std::fs::read_to_string(door.dir.path().join("data/keys/database-tokens.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let own = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(body).unwrap()).unwrap();
    let random = ring::rand::SystemRandom::new();
    let strange = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let mut all = BTreeSet::new();

    // Another key, and headers that would have the reader take it.
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(strange.public_key().as_ref()) });
    for head in [
        json!({ "alg": "EdDSA", "typ": "JWT" }),
        json!({ "alg": "EdDSA", "jwk": jwk }),
        json!({ "alg": "EdDSA", "kid": "../../../../dev/null" }),
        json!({ "alg": "EdDSA", "jku": "http://127.0.0.1:1/keys" }),
        json!({ "alg": "EdDSA", "x5u": "http://127.0.0.1:1/keys" }),
        json!({ "alg": "EdDSA", "x5c": [BASE64.encode(strange.public_key().as_ref())] }),
        json!({ "alg": "EdDSA", "b64": false, "crit": ["b64"] }),
    ] {
        all.insert(signed(&head.to_string(), &plain, &strange));
    }
    // Other algorithms: with the true signature, with none, and with what everybody knows as the secret.
    for name in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
        "PS512", "ES256", "ES384", "eddsa", "EDDSA", "Ed25519", "A128KW",
    ] {
        let head = json!({ "alg": name, "typ": "JWT" }).to_string();
        all.insert(format!("{}.{claims}.{signature}", BASE64.encode(&head)));
        all.insert(format!("{}.{claims}.", BASE64.encode(&head)));
        all.insert(signed(&head, &plain, &strange));
        if name.is_empty() || !["eddsa", "EDDSA", "Ed25519"].contains(&name) {
            all.insert(signed(&head, &plain, &own));
        }
        for algorithm in [ring::hmac::HMAC_SHA256, ring::hmac::HMAC_SHA512] {
            all.insert(hmac(algorithm, &head, &plain, own.public_key().as_ref()));
            all.insert(hmac(algorithm, &head, &plain, b""));
        }
    }
    for head in [
        "{}",
        "[]",
        "null",
        "\"EdDSA\"",
        r#"{"alg":null}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"typ":"JWT"}"#,
        "{",
        "\0",
        r#"{"alg":"none","alg":"EdDSA"}"#,
    ] {
        all.insert(signed(head, &plain, &own));
    }
    // Claims that were changed after they were signed, and claims that were never ours to sign.
    let later = |seconds: i64| json!(jiff::Timestamp::now().as_second() + seconds);
    let id = told["id"].as_str().unwrap();
    for (key, value) in [
        ("id", Some(json!("0".repeat(id.len())))),
        ("id", Some(json!(id.to_uppercase()))),
        ("id", Some(json!(format!("{id} ")))),
        ("id", Some(json!("*"))),
        ("id", Some(json!([id]))),
        ("id", Some(Value::Null)),
        ("id", None),
        ("gid", Some(json!("*"))),
        ("gid", Some(json!(""))),
        ("org", Some(json!("nobody"))),
        ("org", Some(json!(""))),
        ("org", None),
        ("iss", Some(json!("else"))),
        ("iss", Some(json!(""))),
        ("iss", None),
        ("a", Some(json!("rwx"))),
        ("a", Some(json!("RW"))),
        ("a", Some(json!(["rw"]))),
        ("a", None),
        ("jti", None),
        ("jti", Some(json!(7))),
        ("iat", None),
        ("exp", Some(later(-1))),
        ("exp", Some(json!(0))),
        ("exp", Some(json!(-1))),
        ("exp", Some(json!(i64::MIN))),
        ("exp", Some(json!("9999999999"))),
        ("exp", Some(json!(1.0e300))),
        ("exp", Some(json!(u64::MAX))),
        ("exp", Some(json!([9_999_999_999_i64]))),
    ] {
        let changed = with(&told, key, value);
        all.insert(format!("{head}.{}.{signature}", BASE64.encode(&changed)));
        all.insert(signed(r#"{"alg":"EdDSA","typ":"JWT"}"#, &changed, &strange));
        all.insert(signed(r#"{"alg":"EdDSA","typ":"JWT"}"#, &changed, &own));
    }
    // `null` is as good as nothing for what may be left out; all else of the claims is needed.
    for claims in [
        "",
        "{}",
        "[]",
        "null",
        "1",
        "{\"iss\":\"torso\"}",
        "{\"iss\":\"torso\"",
        "\u{feff}{}",
        "\0",
    ] {
        all.insert(signed(r#"{"alg":"EdDSA"}"#, claims, &own));
    }
    // Pieces of other tokens.
    let [others_head, others_claims, others_signature]: [&str; 3] =
        other.split('.').collect::<Vec<_>>().try_into().unwrap();
    all.extend([
        format!("{head}.{others_claims}.{signature}"),
        format!("{head}.{claims}.{others_signature}"),
        format!("{others_head}.{others_claims}.{signature}"),
        other.to_owned(),
        door.owner.clone(),
    ]);
    let route = door.hosted.route("app-alice").unwrap();
    for access in [Authorization::FullAccess, Authorization::ReadOnly] {
        all.insert(door.hosted.internal_token(&route, access).unwrap().expose().to_owned());
    }
    all.insert(hmac(
        ring::hmac::HMAC_SHA256,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        &told.to_string(),
        b"secret",
    ));
    // A character more, less or another at places all over it; bytes of the signature.
    for at in (0..token.len()).step_by(11) {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        all.insert(String::from_utf8(bytes).unwrap());
        all.insert(format!("{}{}", &token[..at], &token[at + 1..]));
    }
    let bytes = BASE64.decode(signature).unwrap();
    for changed in [
        vec![],
        vec![0; 64],
        vec![0xff; 64],
        bytes[..63].to_vec(),
        [&bytes[..], &[0]].concat(),
    ] {
        all.insert(format!("{head}.{claims}.{}", BASE64.encode(changed)));
    }
    all.insert(format!("{head}.{claims}.{}", URL_SAFE.encode(&bytes)));
    // What is left over in the last character of the signature, which another decoder would not look at.
    let last = signature.as_bytes()[signature.len() - 1];
    for letter in [last + 1, last.wrapping_sub(1)]
        .into_iter()
        .filter(u8::is_ascii_alphanumeric)
    {
        let signature = &signature[..signature.len() - 1];
        all.insert(format!("{head}.{claims}.{signature}{}", char::from(letter)));
    }
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "null".into(),
        "undefined".into(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        format!("{head}.{claims}"),
        format!("{head}..{signature}"),
        format!(".{claims}.{signature}"),
        format!("{token}="),
        format!("{token}%00"),
        format!("{token},{token}"),
        format!("\"{token}\""),
        format!("{head} .{claims}.{signature}"),
        token.replace('.', "%2e"),
        token.replace('.', ":"),
        token.to_uppercase(),
        token.to_lowercase(),
        token.chars().rev().collect(),
        format!("{head}.{}.{signature}", "A".repeat(5_000)),
        "A".repeat(4_096),
    ] {
        all.insert(text);
    }
    all.remove(token);
    all
}

/// Tokens that open databases of the same name, and groups of the same name, in another organization.
fn strangers(door: &Door) -> Vec<String> {
    let owner = door.owner();
    door.hosted.accounts(&owner).create_organization("rival").unwrap();
    let plane = door.hosted.plane(&owner, Some(&"rival".parse().unwrap())).unwrap();
    plane.create_database(&super::new("app")).unwrap();
    let of_database = plane.create_database_token(&"app".parse().unwrap(), &NewToken::default());
    let of_group = plane.create_group_token(&"default".parse().unwrap(), &NewToken::default());
    let texts = [of_database, of_group].map(|minted| minted.unwrap().jwt.expose().to_owned());
    texts.into()
}

/// Whether a socket with a token in its greeting, or in a header, can be used.
fn socket_opens(door: &Door, token: &str, protocol: &str, in_header: bool) -> bool {
    let mut request = format!("ws://{}/db/app-alice/", door.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    if in_header {
        let Ok(value) = format!("Bearer {token}").parse() else {
            return false;
        };
        headers.insert("authorization", value);
    }
    let stream = TcpStream::connect(door.address).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    let Ok((mut socket, _)) = tungstenite::client(request, stream) else {
        return false;
    };
    let hello = match (protocol, in_header) {
        ("hrana3-protobuf", false) => Message::binary(field(1, &field(1, token.as_bytes()))),
        ("hrana3-protobuf", true) => Message::binary(field(1, &[])),
        (_, false) => Message::text(json!({ "type": "hello", "jwt": token }).to_string()),
        (_, true) => Message::text(json!({ "type": "hello", "jwt": null }).to_string()),
    };
    socket.send(hello).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return text.contains("hello_ok"),
            // `hello_ok` is field 1.
            Ok(Message::Binary(bytes)) => return bytes[0] == 1 << 3 | 2,
            Ok(Message::Close(_)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// Whether a request with a token was let through.
fn passes(door: &Door, token: &str, request: &(&str, &str, &str, Vec<u8>, &str)) -> bool {
    let (method, path, header, body, kind) = request;
    let value = reqwest::header::HeaderValue::from_str(&format!("Bearer {token}"));
    let Ok(value) = value else { return false };
    let mut asked = door
        .client
        .request(method.parse().unwrap(), door.url("app-alice", path))
        .header(*header, value)
        .body(body.clone());
    if !kind.is_empty() {
        asked = asked.header("content-type", *kind);
    }
    let answer = asked.send().unwrap();
    if path.contains("_log") || path.contains("Proxy") {
        let status = answer
            .headers()
            .get("grpc-status")
            .map(|value| value.to_str().unwrap().to_owned());
        return status.as_deref() != Some("16");
    }
    let status = answer.status().as_u16();
    assert!(
        status == 401 || status == 200,
        "{path}: {status}: {}",
        answer.text().unwrap()
    );
    status == 200
}

#[test]
fn forged_token_opens_nothing_on_any_way() {
    let door = Door::new();
    let token = door.create("app");
    let other = door.create("other");
    door.run("app-alice", &token, "create table t (x)").fine();
    let mut forged = forgeries(&door, &token, &other);
    forged.extend(strangers(&door));
    assert!(forged.len() >= 250, "{}", forged.len());
    let requests = requests();
    let all: Vec<(usize, &String)> = forged.iter().enumerate().collect();
    crate::support::in_parallel(&all, |(number, forged)| {
        for request in &requests {
            assert!(!passes(&door, forged, request), "{} {}: {forged}", request.0, request.1);
        }
        // A socket takes its time, so each token is shown in one of the greetings.
        let protocol = ["hrana2", "hrana3", "hrana3-protobuf"][number % 3];
        for in_header in [false, true] {
            assert!(
                !socket_opens(&door, forged, protocol, in_header),
                "{protocol} {in_header}: {forged}"
            );
        }
    });
    assert_eq!(door.number("app-alice", &token, "select count(*) from t"), 0);
    // The true one, and what only stands around it.
    for request in &requests {
        assert!(passes(&door, &token, request), "{} {}", request.0, request.1);
    }
    for protocol in ["hrana2", "hrana3-protobuf"] {
        assert!(socket_opens(&door, &token, protocol, false) && socket_opens(&door, &token, protocol, true));
    }
    assert!(door.number("app-alice", &token, "select count(*) from t") >= 5);
    let lasting = door.token("app", Authorization::FullAccess, Expiration::Never);
    assert!(passes(&door, &lasting, &requests[0]));
}
