//! The OpenAPI document and the routes say the same.

use serde_json::Value;

use super::Bench;

#[tokio::test]
async fn every_described_operation_exists_and_answers_as_described() {
    let bench = Bench::new();
    let served = bench.call("GET", "/api/openapi.json", "").await.ok(200);
    let document: Value = serde_json::from_str(&metaopt_api::openapi::text().unwrap()).unwrap();
    assert_eq!(served, document);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["operationId"] == "followEvents" {
                continue; // has no end
            }
            let real = path
                .replace("{hash}", &format!("b3:{}", "0".repeat(64)))
                .replace("{kind}", "history")
                .replace(['{', '}'], "");
            let method = method.to_uppercase();
            let answer = bench.call(&method, &real, "{}").await;
            let status = answer.status.as_u16().to_string();
            assert_ne!(status, "405", "{method} {real}");
            assert!(
                operation["responses"].get(&status).is_some(),
                "{method} {real}: {status} is not described: {}",
                answer.text()
            );
            assert!(!answer.text().contains("there is no path"), "{method} {real} is not routed");
        }
    }
}

#[tokio::test]
async fn verbs_that_are_not_described_are_not_allowed() {
    let bench = Bench::new();
    let document: Value = serde_json::from_str(&metaopt_api::openapi::text().unwrap()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace(['{', '}'], "");
        let described = |m: &str| item.get(m).is_some();
        for method in ["put", "patch", "delete", "post"] {
            if described(method) {
                continue;
            }
            let answer = bench.call(&method.to_uppercase(), &real, "{}").await;
            assert_eq!(answer.status, 405, "{method} {real}");
            let allow = answer.headers["allow"].to_str().unwrap().to_lowercase();
            for allowed in item.as_object().unwrap().keys() {
                assert!(allow.contains(allowed.as_str()), "{real}: {allowed} not in {allow}");
            }
        }
    }
}
