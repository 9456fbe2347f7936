//! `GET /health/stores`, for operators: it writes to each store, and so does each node every few seconds for `/metrics`.

use super::app::json;
use super::live::Live;
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::{eventually, found};
use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

impl Live {
    /// The status, and the states of the database and of the token store.
    async fn stores(&self) -> (u16, [Value; 2]) {
        let (status, body) = json(self.client.get(format!("{}/health/stores", self.operators))).await;
        assert_eq!(body["status"], if status == 200 { "ok" } else { "failing" }, "{body}");
        let stores = [body["stores"][0].clone(), body["stores"][1].clone()];
        assert_eq!(stores.each_ref().map(|store| &store["name"]), ["database", "token_store"]);
        assert!(stores.iter().all(|store| store["milliseconds"].is_u64()), "{body}");
        (status, stores)
    }

    /// Waits until a scrape shows whether the database can be written, and whether the token store can.
    async fn shows(&self, database: u8, tokens: u8) {
        let series = [("database", database), ("token_store", tokens)]
            .map(|(store, value)| format!("portcullis_store_writable{{store=\"{store}\"}} {value}\n"));
        eventually("a scrape shows it", async || {
            let text = self.client.get(&self.metrics).send().await.expect("an answer").text().await.expect("a text");
            series.iter().all(|series| text.contains(series))
        })
        .await;
    }
}

fn is_ok(store: &Value) -> bool {
    assert_eq!(store["reason"].is_string(), store["status"] == "failing", "{store}");
    store["status"] == "ok"
}

#[actix_web::test]
async fn operators_see_each_store_and_clients_none() {
    let live = Live::start().await;
    let (status, stores) = live.stores().await;
    assert_eq!((status, stores.each_ref().map(is_ok)), (200, [true, true]));
    assert!(stores.iter().all(|store| store["product"].as_str().expect("a text").starts_with("SQLite 3")));
    assert_eq!(json(live.request(Method::GET, "/health/stores")).await.0, 404);
    let named = live.client.get(format!("{}/health/stores", live.operators)).header("host", "node-1.internal:8081");
    assert_eq!(json(named).await.0, 200, "a probe may call the node by any name");
    live.shows(1, 1).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_redis_that_is_gone_is_seen() {
    let mut redis = Redis::start().await;
    let live = Live::start_with(&[("redis.url", &redis.url()), ("redis.timeout_ms", "400")]).await;
    assert!(live.stores().await.1[1]["product"].as_str().expect("a text").starts_with("Redis "));
    redis.kill().await;
    let (status, stores) = live.stores().await;
    assert_eq!((status, stores.each_ref().map(is_ok)), (503, [true, false]));
    live.shows(1, 0).await;
    assert_eq!(json(live.request(Method::GET, "/health/ready")).await.0, 503);
    redis.restart().await;
    eventually("it is well again", async || live.stores().await.0 == 200).await;
    live.stop().await;
}

/// Waits until the database fails for this reason, which a node also notes on its own; the node is ready all the same.
async fn fails_because(live: &Live, reason: &str) {
    live.shows(0, 1).await;
    let (status, [database, tokens]) = live.stores().await;
    assert_eq!((status, is_ok(&database), is_ok(&tokens)), (503, false, true));
    assert_eq!(database["reason"], reason);
    assert!(database["product"].as_str().expect("a text").starts_with("PostgreSQL"), "{database}");
    assert_eq!(json(live.request(Method::GET, "/health/ready")).await.0, 200);
}

async fn is_well(live: &Live) {
    eventually("it is well again", async || live.stores().await.0 == 200).await;
    live.shows(1, 1).await;
}

#[actix_web::test]
async fn a_postgres_that_cannot_be_written_is_seen_and_the_node_stays_ready() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url("postgres");
    let live = Live::start_with(&[("database.url", &url), ("database.timeout_ms", "1000")]).await;
    is_well(&live).await;

    let mut other = PgConnection::connect(&url).await.expect("connects");
    let lock = "BEGIN; LOCK TABLE users IN SHARE MODE";
    sqlx::raw_sql(lock).execute(&mut other).await.expect("locked");
    fails_because(&live, "somebody holds a lock on the table users").await;
    other.close().await.expect("rolled back");
    is_well(&live).await;

    let turn = async |read_only: &'static str| {
        postgres.execute("postgres", read_only).await;
        postgres.execute("postgres", "SELECT pg_reload_conf()").await;
    };
    turn("ALTER SYSTEM SET default_transaction_read_only = on").await;
    fails_because(&live, "it is read-only").await;
    turn("ALTER SYSTEM RESET default_transaction_read_only").await;
    is_well(&live).await;

    postgres.kill();
    live.shows(0, 1).await;
    let reason = found("it is not reached", async || {
        let (_, [database, _]) = live.stores().await;
        database["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(reason, "it cannot be reached");
    live.stop().await;
}
