//! `redtail rdb report` in a real browser.

use std::path::Path;
use std::process::Command;

use crate::browser::Browser;
use crate::servers::{Server, fixture};

/// Writes the report of a dump. Returns the page's address.
fn report(dump: &Path, page: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redtail"));
    let status = command
        .args(["rdb", "report"])
        .arg(dump)
        .arg("-o")
        .arg(page)
        .status();
    assert!(status.expect("it runs").success(), "{}", dump.display());
    format!("file://{}", page.display())
}

fn count(browser: &Browser, selector: &str) -> u64 {
    let script = format!("return document.querySelectorAll({selector:?}).length");
    browser.run(&script).as_u64().expect("a number")
}

#[test]
fn the_page_shows_every_dump_without_an_error_and_fits_a_phone() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for dump in [
        "demo.rdb",
        "redis-6.0-lru.rdb",
        "redis-7.0.rdb",
        "redis-7.0-empty.rdb",
        "valkey-9.1.rdb",
        "redis-8.10-by-hand.rdb",
    ] {
        let address = report(&fixture(dump), &folder.path().join("report.html"));
        browser.resize(1280, 900);
        browser.open(&address);
        let title = browser.text("return document.getElementById('title').textContent");
        assert_eq!(title, dump);
        assert!(
            count(&browser, "#map .tile") > 0 || dump.contains("empty"),
            "{dump}"
        );
        assert!(count(&browser, "#about tbody tr") > 0, "{dump}");
        browser.resize(360, 740);
        let wide = browser.run("return document.documentElement.scrollWidth > window.innerWidth");
        assert_eq!(wide, false, "{dump} is wider than a phone");
        assert_eq!(browser.console(), Vec::<String>::new(), "{dump}");
    }
}

#[test]
fn a_tile_opens_its_prefix_and_names_of_keys_are_never_markup() {
    let (Some(browser), Some(server)) = (Browser::start(), Server::start("redis-7.0", &[])) else {
        return;
    };
    let mut client = server.client();
    let hostile: &[u8] = b"</script><img src=x onerror=alert(1)>:<b>bold</b>";
    client.words(&[b"SET", hostile, &[b'v'; 3000]]);
    for number in 0..200 {
        client.command(&format!(
            "SET user:{}:name:{number} {}",
            number % 5,
            "v".repeat(200)
        ));
        client.command(&format!("RPUSH queue:{} {}", number % 3, "e".repeat(50)));
    }
    assert_eq!(client.command("SAVE").text(), "OK");
    let folder = tempfile::tempdir().expect("a folder");
    let address = report(
        &server.directory().join("dump.rdb"),
        &folder.path().join("report.html"),
    );
    browser.resize(1280, 900);
    browser.open(&address);
    assert_eq!(browser.console(), Vec::<String>::new());
    assert_eq!(count(&browser, "img, main b"), 0);
    let keys = browser.text("return document.getElementById('keys').textContent");
    assert!(
        keys.contains("</script><img src=x onerror=alert(1)>"),
        "{keys}"
    );
    browser.run("[...document.querySelectorAll('#map .tile')].find((tile) => tile.textContent.startsWith('user:')).click()");
    let crumbs = browser.text("return document.getElementById('crumbs').textContent");
    assert_eq!(crumbs, "all keysuser:");
    assert_eq!(count(&browser, "#map .tile"), 5);
    browser.run("document.querySelector('#crumbs button').click()");
    assert!(
        browser
            .text("return document.getElementById('map').textContent")
            .contains("queue:")
    );
    // One bar for all keys, one for each prefix that is wide enough.
    assert!(count(&browser, "#flame .bar") >= 8);
    let widths = browser.run("const all = [...document.querySelectorAll('#flame .bar')].map((bar) => bar.offsetWidth); return Math.max(...all) <= document.getElementById('flame').clientWidth");
    assert_eq!(widths, true);
    if let Some(picture) = std::env::var_os("REDTAIL_PICTURE") {
        std::fs::write(picture, browser.picture()).expect("it is written");
    }
}
