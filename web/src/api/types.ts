// Made by `npm run api` from daemon/api/openapi.json. Don't edit it.

export interface paths {
    "/api/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The cluster as this node sees it */
        get: operations["getCluster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster/invites": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Invitations that hold now, without their codes */
        get: operations["listInvites"];
        put?: never;
        /** Let one node join with a code, or all of the local network */
        post: operations["invite"];
        /** End all invitations */
        delete: operations["closeInvites"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster/join": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Become a member of another node's cluster */
        post: operations["join"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster/leave": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Leave the cluster for ever, and begin anew with an empty history */
        post: operations["leave"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every change, as server-sent events */
        get: operations["followEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/gc": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Remove what this node no longer keeps: old logs, checkpoints, outputs, … */
        post: operations["collect"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All nodes */
        get: operations["listNodes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/nodes/{node}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One node */
        get: operations["getNode"];
        put?: never;
        post?: never;
        /** Remove a node for good */
        delete: operations["removeNode"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/nodes/{node}/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Start nothing new there */
        post: operations["drainNode"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/nodes/{node}/lost": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Give a node up: its trials are offered again */
        post: operations["loseNode"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/nodes/{node}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Undo a drain */
        post: operations["resumeNode"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/snapshots/{hash}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A submitted directory, from whichever node has it */
        get: operations["getSnapshot"];
        /** Store a submitted directory */
        put: operations["putSnapshot"];
        post?: never;
        delete?: never;
        options?: never;
        /** Whether a snapshot is here */
        head: operations["headSnapshot"];
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All studies, oldest first */
        get: operations["listStudies"];
        put?: never;
        /** Create a study */
        post: operations["createStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One study */
        get: operations["getStudy"];
        put?: never;
        post?: never;
        /** Delete a study and its trials for good */
        delete: operations["deleteStudy"];
        options?: never;
        head?: never;
        /** Edit a study: name, budget, note, attributes, a wider space */
        patch: operations["patchStudy"];
        trace?: never;
    };
    "/api/v1/studies/{study}/archive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Put a study away */
        post: operations["archiveStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/best": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The best complete trial */
        get: operations["getBest"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End a study and its trials */
        post: operations["cancelStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/columns": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A study's trials in columns, newest first */
        get: operations["getColumns"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All trials, in an order that every node agrees on */
        get: operations["exportStudy"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/fork": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A new study that starts from this one's results */
        post: operations["forkStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Add finished trials, one JSON object a line */
        post: operations["importTrials"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/importances": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How much each parameter matters */
        get: operations["getImportances"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/pareto": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Complete trials that no other one beats */
        get: operations["getPareto"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Start nothing new */
        post: operations["pauseStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/places": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** On which nodes a study is, and which could run it now */
        get: operations["listPlaces"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/plots/{kind}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Data of a plot, at most 2,000 points, or 5,000 attempts of a timeline */
        get: operations["getPlot"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Go on, or bring back an archived study */
        post: operations["resumeStudy"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/trials": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A study's trials */
        get: operations["listTrials"];
        put?: never;
        /** Add a trial with given parameters */
        post: operations["enqueueTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/studies/{study}/trials/suggest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ask for trials to evaluate */
        post: operations["suggest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Make a token for a dashboard; only with the node's own */
        post: operations["issueToken"];
        /** End all dashboards' tokens; only with the node's own */
        delete: operations["revokeTokens"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One trial */
        get: operations["getTrial"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Annotate a trial */
        patch: operations["patchTrial"];
        trace?: never;
    };
    "/api/v1/trials/{trial}/artifacts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Files that a trial kept */
        get: operations["listArtifacts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/artifacts/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One file */
        get: operations["getArtifact"];
        /** Keep a file with a trial */
        put: operations["putArtifact"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End a trial */
        post: operations["cancelTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/complete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Tell a trial's result */
        post: operations["complete"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What reproduces its parameters, and whether it does */
        get: operations["explainTrial"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/heartbeat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Renew an asked trial's lease */
        post: operations["heartbeat"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a trial's process wrote */
        get: operations["getLogs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Freeze a trial */
        post: operations["pauseTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/reports": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The training curve, by step */
        get: operations["listReports"];
        put?: never;
        /** Report points of the training curve */
        post: operations["report"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Thaw a trial */
        post: operations["resumeTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Offer an ended trial again */
        post: operations["retryTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/trials/{trial}/stop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** The same as cancel */
        post: operations["stopTrial"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Liveness, without a token */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Counters in Prometheus's text format */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * @description What the script should do next.
         * @enum {string}
         */
        Action: "continue" | "stop" | "pause";
        /** @description A kept file of a trial. */
        Artifact: {
            /** @description BLAKE3 of its bytes, hexadecimal; in lists with `hashes=true`. */
            blake3?: string | null;
            /**
             * Format: date-time
             * @description When it was last written.
             */
            modified_at?: string | null;
            /** @description A relative path, with `/`. */
            name: string;
            /**
             * Format: int64
             * @description Bytes.
             */
            size: number;
        };
        /** @description One execution of a trial. */
        Attempt: {
            /**
             * Format: int32
             * @description From 1 up.
             */
            attempt: number;
            /** @description Its values are the trial's. */
            counted: boolean;
            /** @description Free text about its end. */
            detail?: string | null;
            /**
             * Format: date-time
             * @description When it ended.
             */
            ended_at?: string | null;
            /**
             * Format: int32
             * @description Of its process.
             */
            exit_code?: number | null;
            /**
             * Format: int64
             * @description Its last reported step.
             */
            last_step: number;
            /** @description Who held it. */
            node: string;
            reason?: components["schemas"]["Reason"] | null;
            /**
             * Format: int64
             * @description Steps that were done before it began.
             */
            resume_step: number;
            /** @description Slots it occupies or occupied on its node; none where a client held it. */
            slots?: string[];
            /**
             * Format: date-time
             * @description When it was claimed.
             */
            started_at?: string | null;
            /** @description Its final values. */
            values: {
                [key: string]: number;
            };
        };
        /** @description One attempt of a timeline. */
        Bar: {
            /**
             * Format: int32
             * @description From 1 up.
             */
            attempt: number;
            /** @description Its values are the trial's. */
            counted: boolean;
            /**
             * Format: int64
             * @description The same; null while it runs.
             */
            ended_ms?: number | null;
            /** @description What people type. */
            label: string;
            /** @description Who held it. */
            node: string;
            /**
             * Format: int64
             * @description The trial's position.
             */
            number: number;
            /** @description Why it ended; null while it runs. */
            reason?: string | null;
            /**
             * Format: int64
             * @description Steps that were done before it began.
             */
            resume_step: number;
            /** @description Slots it occupied on its node; none where a client held it. */
            slots: string[];
            /**
             * Format: int64
             * @description Milliseconds since 1970, UTC.
             */
            started_ms: number;
            /** @description The trial's state. */
            state: string;
            /** @description The trial. */
            trial: string;
        };
        /** @description The values that four in five of the best trials have. */
        BestValues: {
            /** @description Choices, the most frequent first; empty for numbers. */
            choices: unknown[];
            /** @description The largest of a number; null for choices. */
            high: unknown;
            /** @description The smallest of a number; null for choices. */
            low: unknown;
            /**
             * Format: double
             * @description Share of all trials that have them.
             */
            of_all: number;
            /**
             * Format: double
             * @description Share of the best trials that have them, of those in which the parameter was active.
             */
            of_best: number;
        };
        /** @description How much may be spent. */
        Budget: {
            /**
             * Format: int64
             * @description Trials running at once.
             * @default null
             */
            max_parallel?: number | null;
            /**
             * Format: int64
             * @description Trials in all; null: no end.
             * @default null
             */
            max_trials?: number | null;
            /**
             * Format: int64
             * @description Larger goes first.
             * @default 0
             */
            priority?: number;
            /**
             * @description Never above `max_trials`, even under partition.
             * @default false
             */
            strict?: boolean;
            /**
             * Format: double
             * @description Seconds since creation after which nothing new starts.
             * @default null
             */
            timeout_s?: number | null;
        };
        /** @description The cluster as this node sees it. */
        Cluster: {
            /** @description Where peers reach it, best first (`HOST:PORT`). */
            addresses: string[];
            /** @description It looks for peers on the local network. */
            mdns: boolean;
            /** @description Its name. */
            name: string;
            /** @description The node that answers. */
            node: string;
            /** @description All members. */
            nodes: components["schemas"]["Node"][];
            /**
             * Format: date-time
             * @description Until then any node of the local network may join through this one; null: none may without a code.
             */
            open_until?: string | null;
            /** @description Where it listens for peers; null where it doesn't. */
            peers_address?: string | null;
            /** @description What keeps it from others now. */
            troubles: components["schemas"]["Trouble"][];
            /** @description Of its daemon. */
            version: string;
        };
        /** @description One kind of things that grow. */
        CollectedKind: {
            /**
             * Format: int64
             * @description Their bytes.
             */
            bytes: number;
            /**
             * Format: int64
             * @description How many there were.
             */
            count: number;
            /**
             * Format: int64
             * @description Their bytes.
             */
            freed_bytes: number;
            /**
             * Format: int64
             * @description Of `count`: those that no limit touches, since they belong to a trial or study that goes on or to a best trial.
             */
            held: number;
            /**
             * Format: double
             * @description Age past which one is removed; null: never.
             */
            keep_s?: number | null;
            /** @description `logs`, `checkpoints`, `outputs`, `snapshots`, `environments`, `leftovers` or `corrupt`. */
            kind: string;
            /**
             * Format: date-time
             * @description When the oldest was last changed or used.
             */
            oldest?: string | null;
            /**
             * Format: int64
             * @description Bytes past which the oldest are removed; null: never.
             */
            quota_bytes?: number | null;
            /**
             * Format: int64
             * @description How many were removed.
             */
            removed: number;
        };
        /** @description What was found beneath the data directory of the node that answers, and what was removed. */
        Collection: {
            /**
             * Format: int64
             * @description Free bytes of the disk before; null where that can't be told.
             */
            disk_free_bytes?: number | null;
            /**
             * Format: int64
             * @description Bytes of the disk; null where that can't be told.
             */
            disk_total_bytes?: number | null;
            /** @description Nothing was removed: `removed` and `freed_bytes` say what would be. */
            dry_run: boolean;
            /** @description What could not be removed. */
            failed: components["schemas"]["CollectionFailure"][];
            /**
             * Format: int64
             * @description Bytes removed.
             */
            freed_bytes: number;
            /** @description By kind, all kinds in one order. */
            kinds: components["schemas"]["CollectedKind"][];
            /** @description What people should know. */
            notes: string[];
            /**
             * Format: int64
             * @description Things removed.
             */
            removed: number;
        };
        /** @description Something that could not be removed. */
        CollectionFailure: {
            /** @description Why. */
            detail: string;
            /** @description Beneath the data directory. */
            path: string;
        };
        /** @description `GET /studies/{study}/columns`: newest first. All lists but those of words are as long as `count`. */
        Columns: {
            /**
             * Format: int64
             * @description Rows of this answer.
             */
            count: number;
            /** @description Milliseconds since 1970, UTC. */
            created_ms: number[];
            /** @description The same; null where the trial isn't over. */
            finished_ms: (number | null)[];
            /** @description Trials. */
            id: string[];
            /** @description What people type. */
            label: string[];
            /** @description The last steps of the shown attempts. */
            last_step: number[];
            /** @description Give it as `cursor` for older ones; null at the end. */
            next_cursor?: string | null;
            /** @description Positions in `nodes`; null where nobody has taken the trial yet. */
            node: (number | null)[];
            /** @description Words of `node`. */
            nodes: string[];
            /** @description Positions in the study. */
            number: number[];
            /**
             * @description By parameter: numbers, and of categorical, ordinal and bool ones positions among their choices (bool: 0, 1); null
             *     where it is inactive.
             */
            params: {
                [key: string]: (number | null)[];
            };
            /** @description Positions in `reasons`; null where there is none. */
            reason: (number | null)[];
            /** @description Words of `reason`. */
            reasons: string[];
            /** @description The same; null where the trial hasn't started. */
            started_ms: (number | null)[];
            /** @description Positions in `states`. */
            state: number[];
            /** @description Words of `state`. */
            states: string[];
            /** @description The study's name. */
            study: string;
            /**
             * Format: int64
             * @description Trials of the study.
             */
            total: number;
            /** @description By metric: objectives, constraints, and the 20 others that most trials have; null where there is none. */
            values: {
                [key: string]: (number | null)[];
            };
        };
        /** @description `POST …/complete`: values, or a state and a detail. */
        Complete: {
            /**
             * Format: int32
             * @description The attempt that tells; absent: the running one.
             * @default null
             */
            attempt?: number | null;
            /**
             * @description Free text.
             * @default null
             */
            detail?: string | null;
            /**
             * @description `complete` when absent.
             * @default complete
             */
            state?: components["schemas"]["ToldState"];
            /**
             * @description Finite metrics, all objectives among them.
             * @default null
             */
            values?: {
                [key: string]: number;
            } | null;
        };
        /** @description A bound on a metric. */
        Constraint: {
            /**
             * Format: double
             * @description Smallest feasible value.
             */
            at_least?: number | null;
            /**
             * Format: double
             * @description Largest feasible value.
             */
            at_most?: number | null;
            /** @description The metric's name. */
            metric: string;
        };
        /** @description What a model of the results expects over two parameters, whatever the others are. */
        Contour: components["schemas"]["Head"] & {
            /** @description The metric's means: a row per value of the second; null where both are never active together. */
            means: (number | null)[][];
            /** @description The first parameter; null while there are too few results or the study has fewer than two parameters. */
            x?: string | null;
            /** @description Values of the first, at most 16. */
            xs: unknown[];
            /** @description The second. */
            y?: string | null;
            /** @description Values of the second, at most 16. */
            ys: unknown[];
        };
        /** @description How many trials are in each state. */
        Counts: {
            /**
             * Format: int64
             * @description Ended by a person.
             * @default 0
             */
            cancelled?: number;
            /**
             * Format: int64
             * @description With a counted result.
             * @default 0
             */
            complete?: number;
            /**
             * Format: int64
             * @description Failed.
             * @default 0
             */
            fail?: number;
            /**
             * Format: int64
             * @description Told infeasible.
             * @default 0
             */
            infeasible?: number;
            /**
             * Format: int64
             * @description Frozen.
             * @default 0
             */
            paused?: number;
            /**
             * Format: int64
             * @description Ended early.
             * @default 0
             */
            pruned?: number;
            /**
             * Format: int64
             * @description Held by a lease.
             * @default 0
             */
            running?: number;
            /**
             * Format: int64
             * @description Ready to be claimed.
             * @default 0
             */
            waiting?: number;
        };
        /** @description One trial's curve. */
        Curve: {
            /**
             * Format: int64
             * @description The trial's position.
             */
            number: number;
            /** @description Pairs of step and value. */
            points: [
                number,
                number
            ][];
            /** @description Its state. */
            state: string;
            /** @description The trial. */
            trial: string;
        };
        /** @description Training curves. */
        Curves: components["schemas"]["Head"] & {
            /** @description Running trials and the best and latest others. */
            curves: components["schemas"]["Curve"][];
        };
        /**
         * @description Which way is better.
         * @enum {string}
         */
        Direction: "minimize" | "maximize";
        /** @description What a draw depended on. What its node knew is there where it could be found again. */
        DrawInputs: {
            /**
             * Format: int64
             * @description Trials that the budget still allowed; null: no end.
             */
            budget_left?: number | null;
            /**
             * Format: int64
             * @description The node's draws in this study before.
             */
            draw: number;
            /** @description What the sampler fitted. */
            fit?: number[];
            /** @description Who proposed then. */
            members?: components["schemas"]["DrawMember"][];
            /** @description The sampler that chose: for `auto` the one it handed over to. */
            sampler: string;
            saw?: components["schemas"]["DrawSaw"] | null;
            /**
             * Format: int64
             * @description The study's seed.
             */
            seed: number;
            /**
             * Format: int64
             * @description The node's stream of random numbers: 0 for the study's creator.
             */
            slot: number;
            /**
             * Format: int64
             * @description Trials that the node knew.
             */
            trials_seen: number;
            /** @description The metaopt that drew. */
            version?: string | null;
        } & {
            [key: string]: unknown;
        };
        /** @description A node that proposed. */
        DrawMember: {
            /** @description Its name. */
            name: string;
            /** @description Its ID. */
            node: string;
            /**
             * Format: float
             * @description Its share of the work.
             */
            weight: number;
        };
        /** @description Trials that a node knew when it drew. */
        DrawSaw: {
            /**
             * Format: int64
             * @description Those that were over.
             */
            ended: number;
            /**
             * Format: int64
             * @description Trials proposed before, of which the node had not heard.
             */
            not_yet: number;
            /**
             * Format: int64
             * @description The others.
             */
            open: number;
            /**
             * Format: int64
             * @description All.
             */
            trials: number;
        };
        /** @description An early-stopping rule by name; its options stand beside it. */
        EarlyStopping: {
            /** @description `none`, `median`, … */
            rule: string;
        } & {
            [key: string]: unknown;
        };
        /** @description `POST /studies/{study}/trials`. */
        Enqueue: {
            /** @description The configuration: every active parameter. */
            params: {
                [key: string]: unknown;
            };
            /** @description Free attributes. */
            user_attrs?: {
                [key: string]: unknown;
            };
        };
        /** @description Everything that reproduces a trial's parameters. */
        Explanation: {
            /** @description Why, in words. */
            detail: string;
            inputs?: components["schemas"]["DrawInputs"] | null;
            /** @description Its label. */
            label: string;
            /** @description Its parameters. */
            params: {
                [key: string]: unknown;
            };
            /** @description ID of the node that proposed it. */
            proposed_by: string;
            /** @description Its name then. */
            proposed_by_name: string;
            /** @description What comes out now. */
            redrawn?: {
                [key: string]: unknown;
            } | null;
            /** @description Whether drawing again gives the same parameters; null: they were not drawn, or it can't be told. */
            reproduced?: boolean | null;
            /** @description `sampler`, `enqueued` or `imported`. */
            source: string;
            /** @description Its study's name. */
            study: string;
            /** @description The trial. */
            trial: string;
        } & {
            [key: string]: unknown;
        };
        /** @description One wrong field. */
        FieldProblem: {
            /** @description What is wrong and how to mend it. */
            detail: string;
            /** @description JSON pointer into the body (`/space/0/low`), or `?name` for a parameter of the query. */
            pointer: string;
        };
        /** @description `POST /studies/{study}/fork`. */
        Fork: {
            /** @description Parameters to add, each with a default. */
            add?: components["schemas"]["Param"][] | null;
            /** @description The new study's name. */
            name: string;
        };
        /** @description `POST /gc` */
        Gc: {
            /**
             * @description Remove nothing; say what would be removed.
             * @default false
             */
            dry_run?: boolean;
        };
        /** @description What is plotted, and how much of it there was. */
        Head: {
            /** @description `minimize` or `maximize`; null for a metric that isn't an objective. */
            direction?: string | null;
            /** @description The metric. */
            metric: string;
            /** @description The study's name. */
            study: string;
            /**
             * Format: int64
             * @description Trials (for curves: points) there were before thinning.
             */
            total: number;
        };
        /** @description `GET /healthz`. */
        Health: {
            /** @description The node's ID. */
            node: string;
            /** @description Answers `?challenge=HEX`: hex HMAC-SHA256 with the token as key over `metaopt-challenge:HEX`. */
            proof?: string | null;
            /**
             * @description The same over `metaopt-challenge:HEX@ADDRESS`, where ADDRESS is the one this daemon listens at, such as
             *     `127.0.0.1:7878`: what a stranger elsewhere passes on doesn't hold for its own address.
             */
            proof_here?: string | null;
            /** @description `ok`, or `stopping`. */
            status: string;
            /** @description Of the daemon. */
            version: string;
        };
        /** @description `POST …/heartbeat`; the body may be empty. */
        Heartbeat: {
            /**
             * Format: int32
             * @description The attempt that is alive; absent: the running one.
             * @default null
             */
            attempt?: number | null;
        };
        /** @description Values in the order of trials. */
        History: components["schemas"]["Head"] & {
            /** @description At most 2,000; all improvements are kept. */
            points: components["schemas"]["HistoryPoint"][];
        };
        /** @description One trial of a history. */
        HistoryPoint: {
            /**
             * Format: double
             * @description The best so far; null for a metric without a direction.
             */
            best?: number | null;
            /**
             * Format: int64
             * @description The trial's position.
             */
            number: number;
            /** @description The trial. */
            trial: string;
            /**
             * Format: double
             * @description Its value.
             */
            value: number;
        };
        /** @description One line of an import: a trial as exported, of which only `params` and `state` (and `values` of a complete one) are needed. */
        ImportLine: {
            /** @description Free text about its end. */
            detail?: string | null;
            /** @description The ID it had; importing the same again changes nothing. */
            id?: string | null;
            /** @description The configuration. */
            params: {
                [key: string]: unknown;
            };
            /** @description Its curve. */
            reports?: components["schemas"]["NewReport"][];
            /** @description Unfinished trials are left out. */
            state: components["schemas"]["TrialState"];
            /** @description Free attributes. */
            user_attrs?: {
                [key: string]: unknown;
            };
            /** @description Final values. */
            values?: {
                [key: string]: number | null;
            };
        };
        /** @description How much one parameter matters. */
        Importance: {
            /**
             * Format: double
             * @description With `pairs`: the share of a model's variance that the parameter explains alone; null for less important ones.
             */
            alone?: number | null;
            best?: components["schemas"]["BestValues"] | null;
            /**
             * Format: double
             * @description See `low`.
             */
            high?: number | null;
            /**
             * Format: double
             * @description Its share; all add up to 1.
             */
            importance: number;
            /**
             * Format: double
             * @description In 9 of 10 redrawings of the trials the share lies between this and `high`; null below 50 trials.
             */
            low?: number | null;
            /** @description The parameter. */
            name: string;
        };
        /** @description `GET /studies/{study}/importances`. */
        Importances: {
            /**
             * Format: int64
             * @description Of these, how many count as the best.
             */
            best: number;
            /** @description One per parameter, most important first; empty while there are too few results. */
            items: components["schemas"]["Importance"][];
            /** @description Always null: there is one page. */
            next_cursor?: string | null;
            /** @description The objective that says which trials are the best; null: several, by non-dominated rank. */
            objective?: string | null;
            /**
             * @description With `pairs`: what pairs of the most important parameters add to each other, largest first; null without it, or while
             *     there are too few results.
             */
            pairs?: components["schemas"]["Pair"][] | null;
            /** @description Parts of the space in which the best trials are frequent, the most telling first; at most 3. */
            rules: components["schemas"]["Rule"][];
            /**
             * Format: int64
             * @description Finished trials looked at (an even draw of very many).
             */
            trials: number;
        };
        /** @description What an import did. */
        Imported: {
            /**
             * Format: int64
             * @description New trials.
             */
            added: number;
            /**
             * Format: int64
             * @description Known already.
             */
            skipped: number;
            /**
             * Format: int64
             * @description Left out, since they had no result yet (waiting, running, paused, cancelled).
             */
            unfinished: number;
        };
        /** @description Lets a node join. */
        Invitation: {
            /** @description Where a node that joins reaches this one (`HOST:PORT`), best first. */
            addresses: string[];
            /** @description Good for one node, as `XXXX-XXXX-XXXX`; null of an open one, and in lists. */
            code?: string | null;
            /**
             * Format: date-time
             * @description When it ends.
             */
            expires_at: string;
            /** @description No code is needed. */
            open: boolean;
        };
        /** @description A new token. */
        Issued: {
            /** @description The token, told only here: the daemon keeps its hash. */
            token: string;
        };
        /** @description `POST /cluster/join` */
        Join: {
            /**
             * @description As `metaopt invite` printed it; null where the other side lets everybody in.
             * @default null
             */
            code?: string | null;
            /**
             * @description The member to join through (`HOST:PORT`); null: whichever answers on the local network.
             * @default null
             */
            peer?: string | null;
        };
        /** @description This node is a member now. */
        Joined: {
            /** @description All members that are known so far; the rest comes with the history. */
            cluster: components["schemas"]["Node"][];
            /** @description Its name. */
            name: string;
            /** @description The member through which it came in. */
            node: string;
        };
        /** @description `POST /cluster/leave` */
        Leave: {
            /**
             * @description Leave also while no member can be told: they then take this node for one that is away, until it is removed there.
             * @default false
             */
            force?: boolean;
        };
        /** @description Trials that don't fit a new study, for one reason. */
        LeftOut: {
            /**
             * Format: int64
             * @description How many.
             */
            trials: number;
            /** @description The reason. */
            why: string;
        };
        /** @description What a model of the results expects over single parameters, whatever the others are. */
        Marginal: components["schemas"]["Head"] & {
            /** @description One per parameter; empty while there are too few results. */
            marginals: components["schemas"]["ParamMarginal"][];
        };
        /** @description What is expected at one value. */
        MarginalPoint: {
            /**
             * Format: double
             * @description How well the mean is known: how far the model's trees disagree about it (standard deviation).
             */
            deviation: number;
            /**
             * Format: double
             * @description One in ten is expected to be above this.
             */
            high: number;
            /**
             * Format: double
             * @description Over the other parameters one configuration in ten is expected to be below this.
             */
            low: number;
            /**
             * Format: double
             * @description The metric's mean over the other parameters.
             */
            mean: number;
            /** @description The parameter's value. */
            x: unknown;
        };
        /** @description `POST /cluster/invites` */
        NewInvitation: {
            /**
             * @description Let any node of the local network join without a code.
             * @default false
             */
            open?: boolean;
            /**
             * Format: double
             * @description For how long, in seconds: 10 to 86400, an open one up to 3600; 600 when absent.
             * @default null
             */
            ttl_s?: number | null;
        };
        /** @description One point of a training curve. */
        NewReport: {
            /**
             * Format: int32
             * @description The attempt that reports; absent: the running one.
             */
            attempt?: number | null;
            /**
             * Format: int64
             * @description Completed units of work, from 1 up.
             */
            step: number;
            /** @description Finite metrics; null only from trials that metaopt runs. */
            values: {
                [key: string]: number | null;
            };
        };
        /** @description One report or a list of them. */
        NewReports: components["schemas"]["NewReport"] | components["schemas"]["NewReport"][];
        /** @description A study to be created. The daemon checks it as a whole and names every wrong field. */
        NewStudy: {
            budget?: components["schemas"]["Budget"] | null;
            /** @description Bounds on other metrics. */
            constraints?: components["schemas"]["Constraint"][];
            early_stopping?: components["schemas"]["EarlyStopping"] | null;
            /** @description Another study (name or ID) whose results are copied, as far as its parameters fit; they don't use up the budget. */
            from?: string | null;
            /** @description Answer the study of this name (200) where there is one. */
            load_if_exists?: boolean;
            /** @description A label. */
            name: string;
            /** @description Free text. */
            note?: string;
            /** @description What to optimise. */
            objectives: components["schemas"]["Objective"][];
            run?: components["schemas"]["Run"] | null;
            sampler?: components["schemas"]["Sampler"] | null;
            /** @description What may vary. */
            space: components["schemas"]["Param"][];
            /** @description Free attributes. */
            user_attrs?: {
                [key: string]: unknown;
            };
        };
        /** @description One machine's daemon. */
        Node: {
            /** @description Where peers reach it. */
            addresses: string[];
            /** @description Its identity. */
            id: string;
            /** @description Labels that studies may require. */
            labels: {
                [key: string]: string;
            };
            /**
             * Format: date-time
             * @description When it was last heard.
             */
            last_seen?: string | null;
            /** @description Its name. */
            name: string;
            /** @description Places where trials run. */
            slots: components["schemas"]["Slot"][];
            /** @description Its state. */
            state: components["schemas"]["NodeState"];
            /** @description Of its daemon. */
            version: string;
            /** @description Why it is in its state, where that isn't plain. */
            why?: string | null;
        };
        /**
         * @description A node's state.
         * @enum {string}
         */
        NodeState: "alive" | "suspect" | "lost" | "draining" | "quarantined" | "removed";
        /** @description A metric and where it should go. */
        Objective: {
            /** @description Smaller or larger. */
            direction: components["schemas"]["Direction"];
            /** @description The metric's name. */
            metric: string;
        };
        /** @description One page of a list. */
        Page_Artifact: {
            items: components["schemas"]["Artifact"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Invitation: {
            items: components["schemas"]["Invitation"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Node: {
            items: components["schemas"]["Node"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Place: {
            items: components["schemas"]["Place"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Report: {
            items: components["schemas"]["Report"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_SomeTrial: {
            items: components["schemas"]["SomeTrial"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Study: {
            items: components["schemas"]["Study"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One page of a list. */
        Page_Trial: {
            items: components["schemas"]["Trial"][];
            /** @description Give it as `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description How much two parameters matter together, beyond what each does alone. */
        Pair: {
            /** @description Both, in the order of the space. */
            params: string[];
            /**
             * Format: double
             * @description Share of a model's variance.
             */
            share: number;
        };
        /** @description Parallel coordinates. */
        Parallel: components["schemas"]["Head"] & {
            /** @description Trials with a value. */
            lines: components["schemas"]["ParallelLine"][];
            /** @description Parameters, in the order of the space. */
            params: string[];
        };
        /** @description One trial through all parameters. */
        ParallelLine: {
            /**
             * Format: int64
             * @description The trial's position.
             */
            number: number;
            /** @description One per parameter; null also where it is inactive. */
            params: unknown[];
            /** @description The trial. */
            trial: string;
            /**
             * Format: double
             * @description Its value.
             */
            value: number;
        };
        /** @description One parameter of a space. `low` and `high` belong to numbers, `choices` to lists, `base` to fidelities. */
        Param: {
            /**
             * Format: double
             * @description Ratio of successive rungs of a fidelity.
             */
            base?: number | null;
            /** @description Strings, numbers, booleans or null. */
            choices?: unknown[] | null;
            /** @description The value to try first. */
            default?: unknown;
            /**
             * Format: double
             * @description Largest value, included.
             */
            high?: number | null;
            /** @description Searched on a logarithmic scale. */
            log?: boolean | null;
            /**
             * Format: double
             * @description Smallest value.
             */
            low?: number | null;
            /** @description Unique within the space. */
            name: string;
            prior?: components["schemas"]["Prior"] | null;
            /**
             * Format: double
             * @description Only `low + i·step`.
             */
            step?: number | null;
            /** @description Its kind. */
            type: components["schemas"]["ParamType"];
            /** @description Active only where every named parent has one of the listed values. */
            when?: {
                [key: string]: unknown[];
            } | null;
        };
        /** @description The curve over one parameter. */
        ParamMarginal: {
            /** @description The parameter. */
            param: string;
            /** @description At most 40, in the order of values. */
            points: components["schemas"]["MarginalPoint"][];
        };
        /** @description One parameter against the value. */
        ParamSlice: {
            /** @description The parameter. */
            param: string;
            /** @description Trials in which it was active. */
            points: components["schemas"]["SlicePoint"][];
        };
        /**
         * @description A parameter's kind.
         * @enum {string}
         */
        ParamType: "float" | "int" | "categorical" | "ordinal" | "bool" | "fidelity";
        /** @description A node, and whether it could run a study now. */
        Place: {
            /** @description It has heard of the study. */
            known: boolean;
            /** @description Its name. */
            name: string;
            /** @description Its ID. */
            node: string;
            /** @description It can run the study's trials, once a slot is free: `submit` waits for one such node. */
            ready: boolean;
            /**
             * Format: int64
             * @description Places on it where trials run.
             */
            slots: number;
            /** @description It has the study's snapshot; null where the study has none. */
            snapshot?: boolean | null;
            /** @description Why it can't, in words. */
            why?: string | null;
        };
        /** @description `GET /studies/{study}/plots/{kind}`. */
        Plot: (components["schemas"]["History"] & {
            /** @enum {string} */
            kind: "history";
        }) | (components["schemas"]["Curves"] & {
            /** @enum {string} */
            kind: "curves";
        }) | (components["schemas"]["Parallel"] & {
            /** @enum {string} */
            kind: "parallel";
        }) | (components["schemas"]["Slice"] & {
            /** @enum {string} */
            kind: "slice";
        }) | (components["schemas"]["Marginal"] & {
            /** @enum {string} */
            kind: "marginal";
        }) | (components["schemas"]["Contour"] & {
            /** @enum {string} */
            kind: "contour";
        }) | (components["schemas"]["Timeline"] & {
            /** @enum {string} */
            kind: "timeline";
        });
        /** @description What a trial is expected to come to, by its curve and those of the others. */
        Predicted: {
            /**
             * Format: double
             * @description See `low`.
             */
            high: number;
            /**
             * Format: double
             * @description With `high`: four of five such trials end between them.
             */
            low: number;
            /**
             * Format: double
             * @description Seconds of running until then, as long as its steps take; null where that is unknown.
             */
            remaining_s?: number | null;
            /**
             * Format: int64
             * @description A trial's length in steps.
             */
            step: number;
            /**
             * Format: double
             * @description The first objective's value at `step`.
             */
            value: number;
        };
        /** @description A prior over a number. */
        Prior: {
            /** @description Mean and standard deviation. */
            normal: number[];
        };
        /** @description An error, as `application/problem+json`. */
        Problem: {
            /** @description What happened this time, and the way out. */
            detail: string;
            /** @description Every wrong field. */
            errors?: components["schemas"]["FieldProblem"][];
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            /** @description The kind in words. */
            title: string;
            /**
             * @description Names the kind: `urn:metaopt:problem:` and `malformed`, `unauthorized`, `forbidden`, `not-admitted`,
             *     `foreign-host`, `foreign-origin`, `not-found`, `method-not-allowed`, `conflict`, `too-large`,
             *     `unsupported-media-type`, `invalid`, `too-many-requests`, `internal`, `unreachable`, `away`, `storage`,
             *     `stopping` or `timed-out`.
             */
            type: string;
        };
        /**
         * @description Why an attempt ended.
         * @enum {string}
         */
        Reason: "exit" | "missing_metric" | "timeout" | "oom" | "setup_failed" | "lost_node" | "lost_client" | "preempted" | "pruned" | "paused" | "cancelled" | "superseded";
        /** @description A report as read. */
        Report: {
            /**
             * Format: int64
             * @description Completed units of work.
             */
            step: number;
            /**
             * Format: date-time
             * @description When it arrived.
             */
            time: string;
            /** @description Metrics; null where a process reported a non-finite value. */
            values: {
                [key: string]: number | null;
            };
        };
        /** @description What became of the tokens. */
        Revoked: {
            /**
             * Format: int64
             * @description How many there were.
             */
            revoked: number;
        };
        /** @description A part of the space in which the best trials are frequent: all its conditions hold. */
        Rule: {
            /** @description At most one per parameter. */
            conditions: components["schemas"]["RuleCondition"][];
            /**
             * Format: double
             * @description Share of these that are among the best.
             */
            good: number;
            /**
             * Format: double
             * @description Share of all trials that are in it.
             */
            of_all: number;
            /**
             * Format: double
             * @description Share of the best trials that are in it.
             */
            of_best: number;
            /**
             * Format: int64
             * @description Trials in it.
             */
            trials: number;
        };
        /** @description What holds of one parameter. */
        RuleCondition: {
            /** @description Whether it must be active; null where nothing is said of that. */
            active?: boolean | null;
            /** @description The smallest value there; null: no bound. */
            at_least: unknown;
            /** @description The largest value there; null: no bound. */
            at_most: unknown;
            /** @description The choices there; empty: nothing is said of them. */
            one_of: unknown[];
            /** @description The parameter. */
            param: string;
        };
        /** @description What metaopt runs for each trial. */
        Run: {
            /** @description Program and arguments, with `{name}` placeholders. */
            command: string[];
            /**
             * Format: double
             * @description CPU slots per trial without a GPU.
             */
            cpus?: number | null;
            /** @description Extra environment; never secrets. */
            env?: {
                [key: string]: string;
            };
            /**
             * Format: double
             * @description GPUs per trial.
             */
            gpus?: number | null;
            /** @description Paths outside the snapshot that must exist on a node. */
            links?: string[];
            /** @description `restart` (from scratch) or `wait`: what becomes of a trial whose checkpoint only nodes have that can't be reached. */
            lost_checkpoint?: string | null;
            /**
             * Format: int64
             * @description Attempts that count.
             */
            max_attempts?: number | null;
            /** @description Only these nodes; null: all. */
            nodes?: string[] | null;
            /** @description The submitting directory, for `in_place`. */
            path?: string | null;
            /** @description Labels a node must carry. */
            requires?: {
                [key: string]: string;
            };
            /** @description Try again after failures of the script too. */
            retry_failed?: boolean;
            /** @description Names of secrets kept on each node. */
            secret_env?: string[];
            /** @description Shell command run once per snapshot and node. */
            setup?: string | null;
            /** @description `b3:…` of the submitted directory. */
            snapshot?: string | null;
            /** @description Text files whose placeholders are filled in per trial. */
            templates?: string[];
            /**
             * Format: double
             * @description Seconds one attempt may take.
             */
            timeout_s?: number | null;
            /** @description `snapshot` or `in_place`. */
            workdir?: string | null;
        };
        /** @description Who chose a configuration. */
        SampledBy: {
            /** @description The sampler. */
            name: string;
            /**
             * Format: int64
             * @description Its seed.
             */
            seed: number;
        };
        /** @description A sampler by name; its options stand beside it. */
        Sampler: {
            /** @description `auto`, `gp`, `tpe`, `cmaes`, `bore`, `evolution`, `nsga2`, `sobol`, `random` or `grid`. */
            name: string;
            /**
             * Format: int64
             * @description Makes suggestions reproducible; drawn at creation when absent.
             */
            seed?: number | null;
        } & {
            [key: string]: unknown;
        };
        /** @description The value over each parameter. */
        Slice: components["schemas"]["Head"] & {
            /** @description One per parameter. */
            slices: components["schemas"]["ParamSlice"][];
        };
        /** @description One trial of a slice. */
        SlicePoint: {
            /**
             * Format: int64
             * @description The trial's position.
             */
            number: number;
            /** @description The parameter's value. */
            x: unknown;
            /**
             * Format: double
             * @description The metric's value.
             */
            y: number;
        };
        /** @description One place where trials run. */
        Slot: {
            /** @description A GPU's UUID, or `cpu-0`, …. */
            id: string;
            /** @description Which. */
            kind: components["schemas"]["SlotKind"];
            /** @description Whether it is free. */
            state: components["schemas"]["SlotState"];
            /** @description Who is on it. */
            trials: components["schemas"]["SlotShare"][];
        };
        /**
         * @description A slot's kind.
         * @enum {string}
         */
        SlotKind: "gpu" | "cpu";
        /** @description A trial's share of a slot. */
        SlotShare: {
            /** @description The trial. */
            id: string;
            /**
             * Format: double
             * @description Above 0, at most 1.
             */
            share: number;
        };
        /**
         * @description A slot's state.
         * @enum {string}
         */
        SlotState: "free" | "busy" | "busy_foreign";
        /** @description A trial. */
        SomeTrial: {
            /**
             * Format: int32
             * @description The shown attempt: counted, else running, else latest; null before the first.
             */
            attempt?: number | null;
            /** @description All attempts. */
            attempts?: components["schemas"]["Attempt"][];
            /**
             * Format: date-time
             * @description When it was proposed.
             */
            created_at?: string;
            /** @description Free text about its end. */
            detail?: string | null;
            /**
             * Format: date-time
             * @description When it reached a terminal state.
             */
            finished_at?: string | null;
            /** @description Its identity. */
            id?: string;
            /** @description What people type: proposing node and counter. */
            label?: string;
            /**
             * Format: int64
             * @description Its last reported step.
             */
            last_step?: number;
            /** @description Who holds or held the shown attempt. */
            node?: string | null;
            /** @description Free text. */
            note?: string;
            /**
             * Format: int64
             * @description Position in the study's canonical order.
             */
            number?: number;
            /** @description Active parameters. */
            params?: {
                [key: string]: unknown;
            };
            predicted?: components["schemas"]["Predicted"] | null;
            reason?: components["schemas"]["Reason"] | null;
            /**
             * Format: int64
             * @description Steps already done when the shown attempt began.
             */
            resume_step?: number;
            sampler?: components["schemas"]["SampledBy"] | null;
            /**
             * Format: date-time
             * @description When its first attempt was claimed.
             */
            started_at?: string | null;
            /** @description Its state. */
            state?: components["schemas"]["TrialState"];
            /** @description Its study's name. */
            study?: string;
            /** @description Its study. */
            study_id?: string;
            /** @description Free attributes. */
            user_attrs?: {
                [key: string]: unknown;
            };
            /** @description Values of the counted attempt; for a pruned or paused trial those last reported. */
            values?: {
                [key: string]: number;
            };
            /** @description Why a waiting or paused trial isn't running, in words; only where one trial is asked for. */
            why?: string | null;
        };
        /** @description A study as answered. */
        Study: {
            best?: components["schemas"]["Trial"] | null;
            /** @description How much may be spent. */
            budget: components["schemas"]["Budget"];
            /** @description Bounds on other metrics. */
            constraints: components["schemas"]["Constraint"][];
            /** @description Trials by state. */
            counts: components["schemas"]["Counts"];
            /**
             * Format: date-time
             * @description When it was created.
             */
            created_at: string;
            /** @description When trials are ended early. */
            early_stopping: components["schemas"]["EarlyStopping"];
            /**
             * Format: double
             * @description Seconds until its budget will be used up, as far as can be told.
             */
            eta_s?: number | null;
            /** @description The study it was forked from, or started from. */
            forked_from?: string | null;
            /** @description Its identity. */
            id: string;
            /** @description Its label, with `-2` where an older study has it. */
            name: string;
            /** @description Its creator's name. */
            node: string;
            /** @description Free text. */
            note: string;
            /** @description What to optimise. */
            objectives: components["schemas"]["Objective"][];
            run?: components["schemas"]["Run"] | null;
            /** @description How configurations are proposed. */
            sampler: components["schemas"]["Sampler"];
            /** @description What may vary. */
            space: components["schemas"]["Param"][];
            /** @description Why edits of the space could not all be merged, if so. */
            space_conflict?: string | null;
            /** @description The best so far of the only objective after evenly spread numbers of results, at most 32; only where `spark` asks for it. */
            spark?: number[] | null;
            /** @description Its state. */
            state: components["schemas"]["StudyState"];
            /** @description Free attributes. */
            user_attrs: {
                [key: string]: unknown;
            };
            warm_start?: components["schemas"]["WarmStart"] | null;
            /** @description Why nothing is running. */
            why_idle?: string | null;
        };
        /** @description `PATCH /studies/{study}`; absent fields stay as they are. */
        StudyPatch: {
            /** @default null */
            budget?: components["schemas"]["Budget"] | null;
            /**
             * @description Another label.
             * @default null
             */
            name?: string | null;
            /**
             * @description Free text.
             * @default null
             */
            note?: string | null;
            /**
             * @description Parameters to add, each with a default, or with a wider range.
             * @default null
             */
            space?: components["schemas"]["Param"][] | null;
            /**
             * @description Merged key by key; null removes.
             * @default {}
             */
            user_attrs?: {
                [key: string]: unknown;
            };
        };
        /**
         * @description A study's state.
         * @enum {string}
         */
        StudyState: "running" | "paused" | "complete" | "cancelled" | "archived";
        /** @description `POST …/suggest`. */
        Suggest: {
            /**
             * @description Asking again with the same one gives its running trials again.
             * @default null
             */
            client_id?: string | null;
            /**
             * Format: int64
             * @description How many, 1 to 1,000.
             * @default 1
             */
            count?: number;
            /**
             * Format: double
             * @description Seconds (1 to 604,800) without a renewal after which the trial is offered again.
             * @default 3600
             */
            lease_s?: number;
        };
        /** @description The answer to `suggest`. */
        Suggested: {
            /** @description The trials, held by the client. */
            items: components["schemas"]["Trial"][];
            /** @description Why there are fewer than asked for: `exhausted`, `budget`, `wait` or `paused`. */
            reason?: string | null;
            /**
             * Format: double
             * @description Seconds after which asking again may help.
             */
            retry_after_s?: number | null;
        };
        /** @description Who ran what when. */
        Timeline: {
            /** @description Those that started last, in the order of their starts; imported trials have none. */
            bars: components["schemas"]["Bar"][];
            /** @description The study's name. */
            study: string;
            /**
             * Format: int64
             * @description Attempts there were in the time asked for.
             */
            total: number;
        };
        /**
         * @description How a client may say that a trial ended.
         * @enum {string}
         */
        ToldState: "complete" | "fail" | "pruned" | "infeasible";
        /** @description A trial. */
        Trial: {
            /**
             * Format: int32
             * @description The shown attempt: counted, else running, else latest; null before the first.
             */
            attempt?: number | null;
            /** @description All attempts. */
            attempts: components["schemas"]["Attempt"][];
            /**
             * Format: date-time
             * @description When it was proposed.
             */
            created_at: string;
            /** @description Free text about its end. */
            detail?: string | null;
            /**
             * Format: date-time
             * @description When it reached a terminal state.
             */
            finished_at?: string | null;
            /** @description Its identity. */
            id: string;
            /** @description What people type: proposing node and counter. */
            label: string;
            /**
             * Format: int64
             * @description Its last reported step.
             */
            last_step: number;
            /** @description Who holds or held the shown attempt. */
            node?: string | null;
            /** @description Free text. */
            note: string;
            /**
             * Format: int64
             * @description Position in the study's canonical order.
             */
            number: number;
            /** @description Active parameters. */
            params: {
                [key: string]: unknown;
            };
            predicted?: components["schemas"]["Predicted"] | null;
            reason?: components["schemas"]["Reason"] | null;
            /**
             * Format: int64
             * @description Steps already done when the shown attempt began.
             */
            resume_step: number;
            sampler?: components["schemas"]["SampledBy"] | null;
            /**
             * Format: date-time
             * @description When its first attempt was claimed.
             */
            started_at?: string | null;
            /** @description Its state. */
            state: components["schemas"]["TrialState"];
            /** @description Its study's name. */
            study: string;
            /** @description Its study. */
            study_id: string;
            /** @description Free attributes. */
            user_attrs: {
                [key: string]: unknown;
            };
            /** @description Values of the counted attempt; for a pruned or paused trial those last reported. */
            values: {
                [key: string]: number;
            };
            /** @description Why a waiting or paused trial isn't running, in words; only where one trial is asked for. */
            why?: string | null;
        };
        /** @description `PATCH /trials/{trial}`. */
        TrialPatch: {
            /**
             * @description Free text.
             * @default null
             */
            note?: string | null;
            /**
             * @description Merged key by key; null removes.
             * @default {}
             */
            user_attrs?: {
                [key: string]: unknown;
            };
        };
        /**
         * @description A trial's state.
         * @enum {string}
         */
        TrialState: "waiting" | "running" | "paused" | "complete" | "pruned" | "fail" | "infeasible" | "cancelled";
        /** @description A node or address that can't be reached. */
        Trouble: {
            /** @description The address tried, where it is one. */
            address?: string | null;
            /** @description The node, where it is known which. */
            node?: string | null;
            /**
             * Format: date-time
             * @description Since when.
             */
            since: string;
            /** @description What is wrong, in words. */
            why: string;
        };
        /** @description The answer to reports and heartbeats. */
        Verdict: {
            /** @description What to do. */
            action: components["schemas"]["Action"];
        };
        /** @description What a new study took from another. */
        WarmStart: {
            /** @description Those that were not. */
            left_out: components["schemas"]["LeftOut"][];
            /** @description The other's name. */
            study: string;
            /**
             * Format: int64
             * @description Finished trials that were copied.
             */
            taken: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getCluster: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cluster */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Cluster"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listInvites: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Invitations */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Invitation"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    invite: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NewInvitation"];
            };
        };
        responses: {
            /** @description The invitation; its code is told only here */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Invitation"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    closeInvites: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Ended */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    join: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Join"];
            };
        };
        responses: {
            /** @description This node is a member now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Joined"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Another node can't be reached */
            502: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    leave: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Leave"];
            };
        };
        responses: {
            /** @description Leaving; the daemon starts anew */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    followEvents: {
        parameters: {
            query?: {
                /** @description Only events of this study (ID or name). */
                study?: string;
            };
            header?: {
                /** @description Resume after this event; `reset` is sent when that can't be done. */
                "Last-Event-ID"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    collect: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Gc"];
            };
        };
        responses: {
            /** @description What was found, and what was removed */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Collection"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listNodes: {
        parameters: {
            query?: {
                /** @description Items of a page (default 100). */
                limit?: number;
                /** @description `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Nodes */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Node"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getNode: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A node's ID or name. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    removeNode: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A node's ID or name. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    drainNode: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A node's ID or name. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    loseNode: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A node's ID or name. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resumeNode: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A node's ID or name. */
                node: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The node as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `b3:` and 64 hexadecimal digits: BLAKE3 of the archive in its canonical, uncompressed form. */
                hash: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The archive */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/zstd": string;
                };
            };
            /** @description With `Range`: that part of it */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/zstd": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    putSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `b3:` and 64 hexadecimal digits: BLAKE3 of the archive in its canonical, uncompressed form. */
                hash: string;
            };
            cookie?: never;
        };
        /** @description The directory as a canonical tar archive, compressed with zstd. */
        requestBody: {
            content: {
                "application/zstd": string;
            };
        };
        responses: {
            /** @description Known already */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Stored */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    headSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `b3:` and 64 hexadecimal digits: BLAKE3 of the archive in its canonical, uncompressed form. */
                hash: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is here */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listStudies: {
        parameters: {
            query?: {
                /** @description Items of a page (default 100). */
                limit?: number;
                /** @description `next_cursor` of the page before. */
                cursor?: string;
                /** @description Only studies in this state. */
                state?: "running" | "paused" | "complete" | "cancelled" | "archived";
                /** @description Also say how the best came about (`spark`); default: false. */
                spark?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Studies */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createStudy: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewStudy"];
            };
        };
        responses: {
            /** @description With `load_if_exists`: the one that has its name */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The new study */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The study */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    deleteStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patchStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StudyPatch"];
            };
        };
        responses: {
            /** @description The study as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    archiveStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The study as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getBest: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The best trial */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancelStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The study as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getColumns: {
        parameters: {
            query?: {
                /** @description Rows (default 5,000); fewer come where they would be more than 2,000,000 parameters and values. */
                limit?: number;
                /** @description `next_cursor` of the answer before. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Trials */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Columns"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    exportStudy: {
        parameters: {
            query?: {
                /** @description Default: jsonl. */
                format?: "csv" | "jsonl" | "parquet";
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Streamed */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/vnd.apache.parquet": string;
                    "application/x-ndjson": string;
                    "text/csv; charset=utf-8": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    forkStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Fork"];
            };
        };
        responses: {
            /** @description The new study */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    importTrials: {
        parameters: {
            query?: {
                /** @description Only jsonl. */
                format?: "jsonl";
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        /** @description Lines as an export writes them (schema `ImportLine`), 256 MiB at most. */
        requestBody: {
            content: {
                "application/x-ndjson": string;
            };
        };
        responses: {
            /** @description What was added; importing the same again changes nothing */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Imported"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getImportances: {
        parameters: {
            query?: {
                /** @description The objective (its metric) by which trials are the best. Default: the only one, or by non-dominated rank. */
                objective?: string;
                /** @description The share of trials that count as the best, from 0.01 to 0.5; default: 0.1. */
                top?: number;
                /** @description Also say what pairs of parameters add to each other; default: false. */
                pairs?: boolean;
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Most important first; empty while there are too few results */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Importances"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getPareto: {
        parameters: {
            query?: {
                /** @description Items of a page (default 100). */
                limit?: number;
                /** @description `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The Pareto front, in the order of trials */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pauseStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The study as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listPlaces: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Nodes, the one that answers first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Place"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getPlot: {
        parameters: {
            query?: {
                /** @description Default: the first objective. */
                metric?: string;
                /** @description Of `marginal`: the parameter; default: the most important ones. */
                param?: string;
                /** @description Of `contour`: the first parameter; default: the most important one. */
                x?: string;
                /** @description Of `timeline`: only attempts that ran then or later; milliseconds since 1970. */
                from?: number;
                /** @description Of `timeline`: only attempts that started by then. */
                to?: number;
                /** @description Of `timeline`: most attempts, those that started last; default: 5,000. */
                most?: number;
                /** @description Of `contour`: the second parameter; default: the most important other one. */
                y?: string;
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
                /** @description Which plot. */
                kind: "history" | "curves" | "parallel" | "slice" | "marginal" | "contour" | "timeline";
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The data */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Plot"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resumeStudy: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The study as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Study"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listTrials: {
        parameters: {
            query?: {
                /** @description Items of a page (default 100). */
                limit?: number;
                /** @description `next_cursor` of the page before. */
                cursor?: string;
                /** @description Only these states, separated by commas. */
                state?: string;
                /** @description Only trials that this node (ID or name) runs or ran. */
                node?: string;
                /** @description `number` (default), `created_at`, `started_at`, `finished_at`, `last_step` or `value` (of the first objective); with `-` in front: largest first. Trials without it come last. */
                sort?: string;
                /** @description Only these fields of each trial, separated by commas. */
                fields?: string;
                /** @description Only these, in this order: at most 100 IDs, separated by commas; beside it only `fields`. */
                ids?: string;
            };
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Trials */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_SomeTrial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    enqueueTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Enqueue"];
            };
        };
        responses: {
            /** @description The new trial; it is the next to run */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    suggest: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A study's ID or name. */
                study: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Suggest"];
            };
        };
        responses: {
            /** @description Trials held by the client, or why there is none */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Suggested"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    issueToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The token */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Issued"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeTokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description They hold no more; streams that they opened have ended */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Revoked"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    patchTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TrialPatch"];
            };
        };
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listArtifacts: {
        parameters: {
            query?: {
                /** @description With the BLAKE3 hash of each. */
                hashes?: boolean;
            };
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Files, by name */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Artifact"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getArtifact: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
                /** @description One plain file name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file, as an attachment; raster images inline */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            /** @description With `Range`: that part of it */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    putArtifact: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
                /** @description One plain file name. */
                name: string;
            };
            cookie?: never;
        };
        /** @description The file. */
        requestBody: {
            content: {
                "application/octet-stream": string;
            };
        };
        responses: {
            /** @description Replaced */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Artifact"];
                };
            };
            /** @description Kept */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Artifact"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancelTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    complete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Complete"];
            };
        };
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    explainTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The explanation */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Explanation"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    heartbeat: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Heartbeat"];
            };
        };
        responses: {
            /** @description What the script should do */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Verdict"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getLogs: {
        parameters: {
            query?: {
                /** @description As server-sent events, until the attempt ends. */
                follow?: boolean;
                /** @description Default: the latest. */
                attempt?: number;
            };
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The log */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                    "text/plain; charset=utf-8": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pauseTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listReports: {
        parameters: {
            query?: {
                /** @description Items of a page (default 100). */
                limit?: number;
                /** @description `next_cursor` of the page before. */
                cursor?: string;
                /** @description Only later steps. */
                after_step?: number;
            };
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Reports */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Page_Report"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    report: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewReports"];
            };
        };
        responses: {
            /** @description What the script should do */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Verdict"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body's encoding is not understood */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resumeTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    retryTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stopTrial: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A trial's ID or label. */
                trial: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The trial as it is now */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Trial"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The state or name does not allow that */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    health: {
        parameters: {
            query?: {
                /** @description Hexadecimal, 16 to 128 digits: answered by a proof that the token is known. */
                challenge?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Alive */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fields do not fit */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Metrics */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain; version=0.0.4; charset=utf-8": string;
                };
            };
            /** @description The request can't be read */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A valid token is needed */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description This token does not allow that */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The daemon failed */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The disk takes no changes */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
