//! The meeting page and the admin page, embedded in the binary from `admin-ui/dist`.

use super::text;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "admin-ui/dist"]
#[allow_missing = true]
struct Pages;

/// Vite puts a hash of the content into the names below `assets/`.
const HASHED: &str = "public, max-age=31536000, immutable";
const FRESH: &str = "no-cache";

/// `/meet`.
pub(super) async fn meet() -> Response {
    page(&["meet.html", "meet/index.html"], "meeting page")
}

/// `/admin` and every view below it.
pub(super) async fn admin() -> Response {
    page(&["admin.html", "admin/index.html"], "admin page")
}

/// `/assets/…`.
pub(super) async fn file(Path(path): Path<String>) -> Response {
    let name = format!("assets/{path}");
    embedded(&name, HASHED).unwrap_or_else(|| text(StatusCode::NOT_FOUND, "no such file"))
}

/// The page for browsers at `/`.
pub(super) fn landing() -> Response {
    let body = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>Starling</title>\
        <style>:root{color-scheme:light dark}body{font:1rem system-ui;margin:4rem auto;max-width:30rem;padding:0 1rem}</style>\
        <h1>Starling</h1><p>This node is running.</p>\
        <ul><li><a href=\"/meet\">Join a meeting</a></li><li><a href=\"/admin\">Administration</a></li></ul></html>";
    Html(body).into_response()
}

fn page(names: &[&str], what: &str) -> Response {
    names.iter().find_map(|name| embedded(name, FRESH)).unwrap_or_else(|| {
        let body = format!("The {what} is not part of this build: run `make ui`, then build again.");
        text(StatusCode::NOT_FOUND, body)
    })
}

fn embedded(name: &str, cache: &'static str) -> Option<Response> {
    let file = Pages::get(name)?;
    let content_type = HeaderValue::from_str(file.metadata.mimetype()).ok()?;
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Some((headers, file.data.into_owned()).into_response())
}
