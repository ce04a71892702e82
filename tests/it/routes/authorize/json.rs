//! JSON that is none, or that two readers may read differently. Cases follow JSONTestSuite: `n_` is refused, `y_` is read, and
//! of the `i_` cases, which the standard leaves open, it is fixed here which is what.

use axum::http::Method;

use crate::support::app::{MadeKey, TestApp};

/// What no parser may take.
const NOT_JSON: &[&[u8]] = &[
    b"",
    b" ",
    b"\n",
    b"\0",
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[",
    b"[]]",
    b"{}}",
    b"[1}",
    b"{]",
    b"][",
    b"[1 true]",
    b"[a\xe5]",
    b"[\"\": 1]",
    b"[\"\"],",
    b"[,1]",
    b"[1,,2]",
    b"[\"x\",,]",
    b"[\"x\"]]",
    b"[\"\",]",
    b"[\"x\"",
    b"[x",
    b"[3[4]]",
    b"[1:2]",
    b"[,]",
    b"[-]",
    b"[   , \"\"]",
    b"[\"a\",\n4\n,1,",
    b"[1,]",
    b"[1,,]",
    b"[\"\x0ba\"\\f]",
    b"[*]",
    b"[nul]",
    b"[tru]",
    b"[fals]",
    b"[True]",
    b"[NULL]",
    b"nul",
    b"[truth]",
    b"[++1234]",
    b"[+1]",
    b"[+Inf]",
    b"[-01]",
    b"[-1.0.]",
    b"[-2.]",
    b"[-NaN]",
    b"[.-1]",
    b"[.2e-3]",
    b"[0.1.2]",
    b"[0.3e+]",
    b"[0.3e]",
    b"[0.e1]",
    b"[0E+]",
    b"[0e]",
    b"[1.0e+]",
    b"[1eE2]",
    b"[1 000.0]",
    b"[2.e3]",
    b"[9.e+]",
    b"[Inf]",
    b"[NaN]",
    b"[\xef\xbc\x91]",
    b"[1+2]",
    b"[0x1]",
    b"[0x42]",
    b"[Infinity]",
    b"[-Infinity]",
    b"[0e+-1]",
    b"[-foo]",
    b"[- 1]",
    b"[-012]",
    b"[-.123]",
    b"[1ea]",
    b"[1e\xe5]",
    b"[1a]",
    b"[1.]",
    b"[.1]",
    b"[012]",
    b"[1_000]",
    b"[1n]",
    b"{\"x\", null}",
    b"{\"x\"::\"b\"}",
    b"{\"a\":\"a\" 123}",
    b"{key: 'value'}",
    b"{\"a\" b}",
    b"{:\"b\"}",
    b"{\"a\" \"b\"}",
    b"{\"a\":",
    b"{\"a\"",
    b"{1:1}",
    b"{9999E9999:1}",
    b"{null:null,null:null}",
    b"{\"id\":0,,,,,}",
    b"{'a':0}",
    b"{\"id\":0,}",
    b"{\"a\":\"b\"}/**/",
    b"{\"a\":\"b\"}//",
    b"/*a*/{}",
    b"{\"a\":/*b*/1}",
    b"{\"a\":\"b\",,\"c\":\"d\"}",
    b"{a: \"b\"}",
    b"{\"a\":\"a",
    b"{\"foo\":\"bar\", \"a\"}",
    b"{\"a\":\"b\"}#",
    b"[\"\\uD800\\\"]",
    b"[\"\\uD800\\u\"]",
    b"[\"\\u00A\"]",
    b"[\"\\x00\"]",
    b"[\"\\\\\\\"]",
    b"[\"\\\t\"]",
    b"[\"\\\xf0\x9f\x8c\x80\"]",
    b"[\"\\\"]",
    b"[\"\\a\"]",
    b"[\"\\uqqqq\"]",
    b"[\"\\'\"]",
    b"[\"\\u+123\"]",
    b"[\\n]",
    b"['single quote']",
    b"abc",
    b"[\"\\",
    b"[\"a\0a\"]",
    b"[\"new\nline\"]",
    b"[\"\t\"]",
    b"[\"\x1f\"]",
    b"\"\\UA66D\"",
    b"\"x",
    b"\"\"x",
    b"[\xe2\x81\xa0]",
    b"\xef\xbb\xbf",
    b"<.>",
    b"[<null>]",
    b"[1]x",
    b"2@",
    b"{}1",
    b"{} {}",
    b"1]",
    b"[1,",
    b"[{\"\":[{\"\":",
    b"[\x0c]",
    b"[\xc2\xa0]",
    b"{\"a\":true} \"x\"",
    b"[\"asd]",
    b"\xc3\xa5",
    b"[True, False]",
    b"\x1b[1m{}",
    b"{}\0",
    b"{}\x1a",
    b"undefined",
    b"({})",
    b"a={}",
    b")]}',\n{}",
];

/// What is open, and here refused: unpaired surrogates, text that is not UTF-8, a byte order mark, numbers beyond a double.
const REFUSED: &[&[u8]] = &[
    b"[\"\\uDADA\"]",
    b"[\"\\uD888\\u1234\"]",
    b"[\"\\uD800\\n\"]",
    b"[\"\\uDd1ea\"]",
    b"[\"\\uD800\\uD800\\n\"]",
    b"[\"\\ud800\"]",
    b"[\"\\ud800abc\"]",
    b"[\"\\uDd1e\\uD834\"]",
    b"[\"\\uDFAA\"]",
    b"{\"\\uDFAA\":0}",
    b"[\"\xff\"]",
    b"[\"\xed\xa0\x80\"]",
    b"[\"\xc0\xaf\"]",
    b"[\"\xf4\xbf\xbf\xbf\"]",
    b"[\"\xe0\xff\"]",
    b"[\"\x81\"]",
    b"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe[\0\"\0\"\0]\0",
    b"\0[\0\"\0\xe9\0\"\0]",
    b"[1e400]",
    b"[-1e400]",
    b"[1.5e+9999]",
    b"[-1e+9999]",
    b"[123123e100000]",
    b"[0.4e00669999999999999999999999999999999999999999999999999999999]",
];

/// What is JSON, so that the schema is asked about it.
const JSON: &[&str] = &[
    "null",
    "true",
    "-0",
    "0",
    "-1",
    "1e2",
    "1E+2",
    "0e1",
    "0e+1",
    "-0.0",
    "1.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "123123123123123123123123123123",
    "1e308",
    "123.456e-789",
    "123e-10000000",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uDBFF\\uDFFF\"",
    "\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
    "\"\u{7f}\u{2028}\u{2029}\u{feff}\u{10ffff}\"",
    "[]",
    "[[]   ]",
    "{}",
    "{\"\":0}",
    "{\"\\u0000\":0}",
    " [ 1 , \n\r\t 2 ] ",
    "{\"a\":{\"a\":{\"a\":1}}}",
];

async fn app() -> (TestApp, MadeKey) {
    let app = TestApp::new().await;
    let made = app.org_with_key("acme", &["jobs:read"]).await.1;
    (app, made)
}

/// As the whole body, and as the value of a name in the context.
fn placed(case: &[u8]) -> [Vec<u8>; 2] {
    [case.to_vec(), [&br#"{"action":"jobs:read","context":{"a":"#[..], case, b"}}"].concat()]
}

#[tokio::test]
async fn what_is_no_json_is_a_400_wherever_it_stands() {
    let (app, made) = app().await;
    for case in NOT_JSON.iter().chain(REFUSED) {
        for body in placed(case) {
            for path in ["/v1/authorize", "/v1/authorize/batch"] {
                let answer = app.key(&made).send_text(Method::POST, path, body.clone()).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (400, "INVALID_REQUEST"),
                    "{:?}",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_json_is_judged_by_the_schema() {
    let (app, made) = app().await;
    for case in JSON {
        let [_, body] = placed(case.as_bytes());
        app.key(&made).send_text(Method::POST, "/v1/authorize", body).await.refused(422, "INVALID_CONTEXT");
    }
}

#[tokio::test]
async fn white_space_and_escapes_change_nothing() {
    let (app, made) = app().await;
    for body in [
        "\t\r\n {\"action\" : \"jobs:read\"}\n\n ",
        r#"{"\u0061\u0063\u0074\u0069\u006f\u006e":"\u006aobs\u003aread"}"#,
        r#"{"context":{},"action":"jobs:read"}"#,
    ] {
        app.key(&made).send_text(Method::POST, "/v1/authorize", body).await.expect(200);
    }
}
