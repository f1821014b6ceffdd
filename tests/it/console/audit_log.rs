//! The audit log in the console and over the admin API.

use serde_json::{Value, json};
use vestibule::admin::Actor;
use vestibule::store::audit;

use super::{admin_app, bearer, call, desk, form_to, is_worded, noted, page, staff};
use crate::harness::{Answer, Test, on_both_databases};

/// Notes something, at this second.
async fn note(t: &Test, at: i64, act: &'static str, target: &str, detail: Value) {
    let entry = Actor::operator().entry(at, act, ("thing", Some(7), target), detail);
    t.vestibule.context().db.write(move |tx| Box::pin(async move { audit::note(tx, entry).await })).await.unwrap();
}

/// What the entries of an answer were done to.
fn targets(answer: &Answer) -> Vec<String> {
    let all = answer.json()["entries"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
    all.iter().map(|entry| entry["target"].as_str().unwrap().to_owned()).collect()
}

const DAY: i64 = 86_400;

on_both_databases! {
    async fn entries_are_filtered_by_each_word_and_by_dates_and_paged(t: Test) {
        let app = admin_app(&t).await;
        let itself = bearer(&t, &app, "", "admin:read").await;
        note(&t, DAY, "thing.create", "a", json!({})).await;
        note(&t, 2 * DAY, "thing.change", "b", json!({})).await;
        note(&t, 2 * DAY + 1, "thing.change", "a", json!({})).await;
        note(&t, 2 * DAY + 1, "thing.change", "c", json!({})).await;
        note(&t, 3 * DAY, "things.change", "a", json!({})).await;
        let read = async |query: &str| call(&t, "GET", &format!("/admin/api/audit?{query}"), &itself, Value::Null).await;
        for (query, expected) in [
            ("", vec!["a", "c", "a", "b", "a"]),
            ("act=thing.change", vec!["c", "a", "b"]),
            ("act=thing.", vec!["c", "a", "b", "a"]),
            ("act=thing", vec![]),
            ("act=thing.%25", vec![]),
            ("target=a", vec!["a", "a", "a"]),
            ("target=a&act=thing.", vec!["a", "a"]),
            ("actor=operator&kind=thing&target=c", vec!["c"]),
            ("actor=nobody", vec![]),
            ("kind=other", vec![]),
            ("since=1970-01-03&until=1970-01-03", vec!["c", "a", "b"]),
            ("since=1970-01-03T00:00:01Z", vec!["a", "c", "a"]),
            ("until=1970-01-03T00:00:01Z", vec!["b", "a"]),
            ("until=1970-01-02&kind=thing", vec!["a"]),
        ] {
            assert_eq!(targets(&read(query).await), expected, "{query}");
        }
        assert_eq!(read("since=soon").await.status, 400);
        assert_eq!(read("format=xml").await.status, 400);
        // Two of the same second, one on each page.
        let first = read("limit=2").await;
        assert_eq!(targets(&first), ["a", "c"]);
        let second = read(&format!("limit=2&before={}", first.json()["next"])).await;
        assert_eq!(targets(&second), ["a", "b"]);
        let last = read(&format!("limit=2&before={}", second.json()["next"])).await;
        assert_eq!((targets(&last), last.json()["next"].clone()), (vec!["a".to_owned()], Value::Null));
        assert_eq!(noted(&t).await.len(), 5);
    }
}

on_both_databases! {
    async fn the_page_tells_who_did_what_from_where_and_what_changed(t: Test) {
        let root = desk(&t, "root", "*").await;
        note(&t, 5, "thing.change", "<b>x</b>", json!({ "name": ["old", "new"], "list": [["a"], ["a", "b"]], "gone": ["x", null] })).await;
        note(&t, 6, "thing.create", "y", json!({ "redirect_uris": ["https://a.example", "https://b.example"], "empty": [] })).await;
        for number in 0..55 {
            note(&t, 100 + number, "other.do", &number.to_string(), json!({})).await;
        }

        let list = page(&root, "/admin/audit/?act=thing.").await;

        assert!(list.text.contains("name: old → new") && list.text.contains("list: a → a b") && list.text.contains("gone: x → –"), "{list:?}");
        assert!(list.text.contains("redirect_uris: https:") && !list.text.contains("a.example →") && !list.text.contains("empty:"), "{list:?}");
        assert!(list.text.contains("&lt;b&gt;") && !list.text.contains("<b>x"));
        let first = page(&root, "/admin/audit/?kind=thing").await;
        assert_eq!(first.text.matches("<tr").count(), 51);
        let next = first.text.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap().split('"').next().unwrap();
        let second = page(&root, &next.replace("&amp;", "&").replace("&#x2f;", "/")).await;
        assert_eq!(second.text.matches("<tr").count(), 8);
        let wrong = root.get("/admin/audit/?since=soon").await;
        assert_eq!(wrong.status, 400);
        let other = desk(&t, "other", "keys.view").await;
        assert_eq!(other.get("/admin/audit/").await.status, 403);
    }
}

on_both_databases! {
    async fn an_export_has_everything_that_the_filters_show_and_is_noted(t: Test) {
        let app = admin_app(&t).await;
        let viewer = desk(&t, "viewer", "audit.view").await;
        let db = &t.vestibule.context().db;
        db.write(|tx| Box::pin(async move {
            for number in 0..2_500 {
                let entry = Actor::operator().entry(number, "thing.create", ("thing", None, &format!("=cmd|{number}, \"x\"")), json!({}));
                audit::note(tx, entry).await?;
            }
            Ok(())
        })).await.unwrap();
        note(&t, 9, "other.do", "y", json!({})).await;
        let list = page(&viewer, "/admin/audit/?act=thing.").await;
        let form = list.forms().into_iter().find(|form| form.fields.contains(&("format".to_owned(), "csv".to_owned()))).unwrap();

        let csv = viewer.submit_only(&form, &[]).await;

        assert_eq!((csv.status, csv.header("content-type").as_str()), (200, "text/csv; charset=utf-8; header=present"));
        assert!(csv.header("content-disposition").starts_with("attachment; filename=\"audit-") && csv.header("content-disposition").ends_with(".csv\""));
        let lines: Vec<_> = csv.text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 2_501);
        assert_eq!(lines[0], "id,at,actor,via,address,act,target_kind,target_id,target,detail");
        assert_eq!(lines[2_500], "1,1970-01-01T00:00:00Z,operator,command,,thing.create,thing,,\"'=cmd|0, \"\"x\"\"\",{}");
        assert!(!csv.text.contains("other.do"));
        assert_eq!(noted(&t).await[0], "viewer console audit.export csv");
        let found = page(&viewer, "/admin/audit/?act=audit.export").await;
        assert!(found.text.contains("act: thing."));

        let itself = bearer(&t, &app, "", "admin:read").await;
        let read = t.http.get(t.url("/admin/api/audit?act=thing.&until=1970-01-01")).header("authorization", &itself).header("accept", "application/jsonl");
        let all = Answer::of(read).await;
        let rows: Vec<Value> = all.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((rows.len(), rows[0]["at"].clone(), rows[2_499]["at"].clone()), (2_500, 2_499.into(), 0.into()));
        let csv = call(&t, "GET", "/admin/api/audit?format=csv&target=y", &itself, Value::Null).await;
        assert_eq!(csv.text.split_terminator("\r\n").count(), 2);

        // Who may not.
        let other = desk(&t, "other", "keys.view").await;
        let form = crate::harness::guest::Form { action: "/admin/audit/export".to_owned(), ..other.get("/account/sessions").await.form() };
        let refused = other.submit_only(&form, &[("format", "csv")]).await;
        assert_eq!(refused.status, 403);
        is_worded(&refused);
        let mine = crate::harness::guest::Form { action: "/admin/audit/export".to_owned(), ..form_to(&list, "export") };
        assert_eq!(viewer.submit_only(&mine, &[("format", "xml")]).await.status, 400);
        assert_eq!(viewer.post("/admin/audit/export", &[("format", "csv")]).await.status, 403);
        staff(&t, "third", "users.view").await;
        let weak = bearer(&t, &app, "third", "admin:read").await;
        for path in ["/admin/api/audit", "/admin/api/audit?format=csv"] {
            assert_eq!(call(&t, "GET", path, &weak, Value::Null).await.status, 403);
        }
    }
}
