//! The table of paths: what CONTRACT promises, in its order.

use utoipa::openapi::{
    HttpMethod::{Delete, Get, Head, Patch, Post, Put},
    PathItem, Paths, PathsBuilder,
};

use super::build::{Verb, boolean, integer, number, string};

const STREAM: &str = "text/event-stream";

pub(super) fn all() -> Paths {
    let mut paths = PathsBuilder::new().build();
    let verbs = studies().into_iter().chain(results()).chain(trials()).chain(files()).chain(cluster()).chain(daemon());
    for verb in verbs {
        let (path, method, operation) = verb.build();
        match paths.paths.get_mut(path) {
            Some(item) => item.merge_operations(PathItem::new(method, operation)),
            None => {
                paths.paths.insert(path.to_owned(), PathItem::new(method, operation));
            }
        }
    }
    paths
}

fn studies() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "studies", summary);
    let study = "/api/v1/studies/{study}";
    let states = string().enum_values(Some(["running", "paused", "complete", "cancelled", "archived"]));
    vec![
        verb(Get, "/api/v1/studies", "listStudies", "All studies, oldest first")
            .paged()
            .query("state", "Only studies in this state.", states)
            .query("spark", "Also say how the best came about (`spark`); default: false.", boolean())
            .answers(200, "Page_Study", "Studies"),
        verb(Post, "/api/v1/studies", "createStudy", "Create a study")
            .takes("NewStudy", true)
            .answers(201, "Study", "The new study")
            .answers(200, "Study", "With `load_if_exists`: the one that has its name")
            .fails(&[409]),
        verb(Get, study, "getStudy", "One study").answers(200, "Study", "The study"),
        verb(
            Get,
            "/api/v1/studies/{study}/places",
            "listPlaces",
            "On which nodes a study is, and which could run it now",
        )
        .answers(200, "Page_Place", "Nodes, the one that answers first"),
        verb(Patch, study, "patchStudy", "Edit a study: name, budget, note, attributes, a wider space")
            .takes("StudyPatch", true)
            .answers(200, "Study", "The study as it is now")
            .fails(&[409]),
        verb(Delete, study, "deleteStudy", "Delete a study and its trials for good").answers_nothing(204, "Deleted"),
        verb(Post, "/api/v1/studies/{study}/pause", "pauseStudy", "Start nothing new")
            .answers(200, "Study", "The study as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/studies/{study}/resume", "resumeStudy", "Go on, or bring back an archived study")
            .answers(200, "Study", "The study as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/studies/{study}/cancel", "cancelStudy", "End a study and its trials")
            .answers(200, "Study", "The study as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/studies/{study}/archive", "archiveStudy", "Put a study away")
            .answers(200, "Study", "The study as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/studies/{study}/fork", "forkStudy", "A new study that starts from this one's results")
            .takes("Fork", true)
            .answers(201, "Study", "The new study")
            .fails(&[409]),
    ]
}

fn results() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "studies", summary);
    vec![
        verb(Get, "/api/v1/studies/{study}/best", "getBest", "The best complete trial")
            .answers(200, "Trial", "The best trial")
            .fails(&[409]),
        verb(Get, "/api/v1/studies/{study}/pareto", "getPareto", "Complete trials that no other one beats")
            .paged()
            .answers(200, "Page_Trial", "The Pareto front, in the order of trials"),
        verb(Get, "/api/v1/studies/{study}/importances", "getImportances", "How much each parameter matters")
            .query(
                "objective",
                "The objective (its metric) by which trials are the best. Default: the only one, or by non-dominated rank.",
                string().min_length(Some(1)),
            )
            .query(
                "top",
                "The share of trials that count as the best, from 0.01 to 0.5; default: 0.1.",
                number(0.01).maximum(Some(0.5)),
            )
            .query("pairs", "Also say what pairs of parameters add to each other; default: false.", boolean())
            .answers(200, "Importances", "Most important first; empty while there are too few results"),
        verb(Get, "/api/v1/studies/{study}/plots/{kind}", "getPlot", "Data of a plot, at most 2,000 points, or 5,000 attempts of a timeline")
            .query("metric", "Default: the first objective.", string().min_length(Some(1)))
            .query("param", "Of `marginal`: the parameter; default: the most important ones.", string())
            .query("x", "Of `contour`: the first parameter; default: the most important one.", string())
            .query("from", "Of `timeline`: only attempts that ran then or later; milliseconds since 1970.", integer(0))
            .query("to", "Of `timeline`: only attempts that started by then.", integer(0))
            .query(
                "most",
                "Of `timeline`: most attempts, those that started last; default: 5,000.",
                integer(1).maximum(Some(crate::plot::MAX_BARS as f64)),
            )
            .query("y", "Of `contour`: the second parameter; default: the most important other one.", string())
            .answers(200, "Plot", "The data"),
        verb(Get, "/api/v1/studies/{study}/export", "exportStudy", "All trials, in an order that every node agrees on")
            .query("format", "Default: jsonl.", string().enum_values(Some(["csv", "jsonl", "parquet"])))
            .answers_bytes(
                200,
                &["application/x-ndjson", "text/csv; charset=utf-8", "application/vnd.apache.parquet"],
                "Streamed",
            ),
        verb(Post, "/api/v1/studies/{study}/import", "importTrials", "Add finished trials, one JSON object a line")
            .query("format", "Only jsonl.", string().enum_values(Some(["jsonl"])))
            .takes_bytes(
                "application/x-ndjson",
                "Lines as an export writes them (schema `ImportLine`), 256 MiB at most.",
            )
            .answers(200, "Imported", "What was added; importing the same again changes nothing")
            .fails(&[409]),
    ]
}

fn trials() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "trials", summary);
    let state = "Only these states, separated by commas.";
    let sort = "`number` (default), `created_at`, `started_at`, `finished_at`, `last_step` or `value` (of the first \
                objective); with `-` in front: largest first. Trials without it come last.";
    let action =
        |path, id, summary| verb(Post, path, id, summary).answers(200, "Trial", "The trial as it is now").fails(&[409]);
    vec![
        verb(Get, "/api/v1/studies/{study}/trials", "listTrials", "A study's trials")
            .paged()
            .query("state", state, string())
            .query("node", "Only trials that this node (ID or name) runs or ran.", string())
            .query("sort", sort, string())
            .query("fields", "Only these fields of each trial, separated by commas.", string())
            .query(
                "ids",
                "Only these, in this order: at most 100 IDs, separated by commas; beside it only `fields`.",
                string(),
            )
            .answers(200, "Page_SomeTrial", "Trials"),
        verb(Get, "/api/v1/studies/{study}/columns", "getColumns", "A study's trials in columns, newest first")
            .query(
                "limit",
                "Rows (default 5,000); fewer come where they would be more than 2,000,000 parameters and values.",
                integer(1).maximum(Some(crate::columns::MAX_ROWS as f64)),
            )
            .query("cursor", "`next_cursor` of the answer before.", string())
            .answers(200, "Columns", "Trials"),
        verb(Post, "/api/v1/studies/{study}/trials", "enqueueTrial", "Add a trial with given parameters")
            .takes("Enqueue", true)
            .answers(201, "Trial", "The new trial; it is the next to run")
            .fails(&[409]),
        verb(Post, "/api/v1/studies/{study}/trials/suggest", "suggest", "Ask for trials to evaluate")
            .takes("Suggest", false)
            .answers(200, "Suggested", "Trials held by the client, or why there is none")
            .fails(&[409]),
        verb(Get, "/api/v1/trials/{trial}", "getTrial", "One trial").answers(200, "Trial", "The trial").fails(&[409]),
        verb(Patch, "/api/v1/trials/{trial}", "patchTrial", "Annotate a trial")
            .takes("TrialPatch", true)
            .answers(200, "Trial", "The trial as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/trials/{trial}/reports", "report", "Report points of the training curve")
            .takes("NewReports", true)
            .answers(200, "Verdict", "What the script should do")
            .fails(&[409]),
        verb(Get, "/api/v1/trials/{trial}/reports", "listReports", "The training curve, by step")
            .paged()
            .query("after_step", "Only later steps.", integer(0))
            .answers(200, "Page_Report", "Reports")
            .fails(&[409]),
        verb(Post, "/api/v1/trials/{trial}/complete", "complete", "Tell a trial's result")
            .takes("Complete", true)
            .answers(200, "Trial", "The trial as it is now")
            .fails(&[409]),
        verb(Post, "/api/v1/trials/{trial}/heartbeat", "heartbeat", "Renew an asked trial's lease")
            .takes("Heartbeat", false)
            .answers(200, "Verdict", "What the script should do")
            .fails(&[409]),
        action("/api/v1/trials/{trial}/cancel", "cancelTrial", "End a trial"),
        action("/api/v1/trials/{trial}/stop", "stopTrial", "The same as cancel"),
        action("/api/v1/trials/{trial}/retry", "retryTrial", "Offer an ended trial again"),
        action("/api/v1/trials/{trial}/pause", "pauseTrial", "Freeze a trial"),
        action("/api/v1/trials/{trial}/resume", "resumeTrial", "Thaw a trial"),
        verb(
            Get,
            "/api/v1/trials/{trial}/explain",
            "explainTrial",
            "What reproduces its parameters, and whether it does",
        )
        .answers(200, "Explanation", "The explanation")
        .fails(&[409]),
    ]
}

fn files() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "trials", summary);
    vec![
        verb(Get, "/api/v1/trials/{trial}/logs", "getLogs", "What a trial's process wrote")
            .query("follow", "As server-sent events, until the attempt ends.", boolean())
            .query("attempt", "Default: the latest.", integer(1))
            .answers_bytes(200, &["text/plain; charset=utf-8", STREAM], "The log")
            .fails(&[409]),
        verb(Get, "/api/v1/trials/{trial}/artifacts", "listArtifacts", "Files that a trial kept")
            .query("hashes", "With the BLAKE3 hash of each.", boolean())
            .answers(200, "Page_Artifact", "Files, by name")
            .fails(&[409]),
        verb(Get, "/api/v1/trials/{trial}/artifacts/{name}", "getArtifact", "One file")
            .answers_bytes(200, &["application/octet-stream"], "The file, as an attachment; raster images inline")
            .answers_bytes(206, &["application/octet-stream"], "With `Range`: that part of it")
            .fails(&[409, 422]),
        verb(Put, "/api/v1/trials/{trial}/artifacts/{name}", "putArtifact", "Keep a file with a trial")
            .takes_bytes("application/octet-stream", "The file.")
            .answers(201, "Artifact", "Kept")
            .answers(200, "Artifact", "Replaced")
            .fails(&[409]),
        verb(Put, "/api/v1/snapshots/{hash}", "putSnapshot", "Store a submitted directory")
            .takes_bytes("application/zstd", "The directory as a canonical tar archive, compressed with zstd.")
            .answers_nothing(201, "Stored")
            .answers_nothing(200, "Known already"),
        verb(Head, "/api/v1/snapshots/{hash}", "headSnapshot", "Whether a snapshot is here")
            .answers_nothing(200, "It is here")
            .fails(&[422]),
        verb(Get, "/api/v1/snapshots/{hash}", "getSnapshot", "A submitted directory, from whichever node has it")
            .answers_bytes(200, &["application/zstd"], "The archive")
            .answers_bytes(206, &["application/zstd"], "With `Range`: that part of it")
            .fails(&[409, 422]),
    ]
}

fn cluster() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "cluster", summary);
    let action =
        |path, id, summary| verb(Post, path, id, summary).answers(200, "Node", "The node as it is now").fails(&[409]);
    vec![
        verb(Get, "/api/v1/nodes", "listNodes", "All nodes").paged().answers(200, "Page_Node", "Nodes"),
        verb(Get, "/api/v1/nodes/{node}", "getNode", "One node").answers(200, "Node", "The node"),
        action("/api/v1/nodes/{node}/drain", "drainNode", "Start nothing new there"),
        action("/api/v1/nodes/{node}/resume", "resumeNode", "Undo a drain"),
        action("/api/v1/nodes/{node}/lost", "loseNode", "Give a node up: its trials are offered again"),
        verb(Delete, "/api/v1/nodes/{node}", "removeNode", "Remove a node for good")
            .answers_nothing(204, "Removed")
            .fails(&[409]),
        verb(Get, "/api/v1/cluster", "getCluster", "The cluster as this node sees it").answers(
            200,
            "Cluster",
            "The cluster",
        ),
        verb(Get, "/api/v1/cluster/invites", "listInvites", "Invitations that hold now, without their codes").answers(
            200,
            "Page_Invitation",
            "Invitations",
        ),
        verb(Post, "/api/v1/cluster/invites", "invite", "Let one node join with a code, or all of the local network")
            .takes("NewInvitation", false)
            .answers(201, "Invitation", "The invitation; its code is told only here")
            .fails(&[409]),
        verb(Delete, "/api/v1/cluster/invites", "closeInvites", "End all invitations").answers_nothing(204, "Ended"),
        verb(Post, "/api/v1/cluster/join", "join", "Become a member of another node's cluster")
            .takes("Join", false)
            .answers(200, "Joined", "This node is a member now")
            .fails(&[404, 409, 502]),
        verb(
            Post,
            "/api/v1/cluster/leave",
            "leave",
            "Leave the cluster for ever, and begin anew with an empty history",
        )
        .takes("Leave", false)
        .answers_nothing(202, "Leaving; the daemon starts anew")
        .fails(&[409]),
    ]
}

fn daemon() -> Vec<Verb> {
    let verb = |method, path, id, summary| Verb::new(method, path, id, "daemon", summary);
    vec![
        verb(Get, "/api/v1/events", "followEvents", "Every change, as server-sent events")
            .header("Last-Event-ID", "Resume after this event; `reset` is sent when that can't be done.")
            .query("study", "Only events of this study (ID or name).", string())
            .answers_bytes(200, &[STREAM], "Events")
            .fails(&[404]),
        verb(Post, "/api/v1/tokens", "issueToken", "Make a token for a dashboard; only with the node's own").answers(
            201,
            "Issued",
            "The token",
        ),
        verb(Delete, "/api/v1/tokens", "revokeTokens", "End all dashboards' tokens; only with the node's own").answers(
            200,
            "Revoked",
            "They hold no more; streams that they opened have ended",
        ),
        verb(Post, "/api/v1/gc", "collect", "Remove what this node no longer keeps: old logs, checkpoints, outputs, …")
            .takes("Gc", false)
            .answers(200, "Collection", "What was found, and what was removed"),
        verb(Get, "/healthz", "health", "Liveness, without a token")
            .query("challenge", "Hexadecimal, 16 to 128 digits: answered by a proof that the token is known.", string())
            .answers(200, "Health", "Alive")
            .open(),
        verb(Get, "/metrics", "metrics", "Counters in Prometheus's text format").answers_bytes(
            200,
            &["text/plain; version=0.0.4; charset=utf-8"],
            "Metrics",
        ),
        verb(Get, "/api/openapi.json", "openapi", "This document").answers_bytes(
            200,
            &["application/json"],
            "The document",
        ),
    ]
}
