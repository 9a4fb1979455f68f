CREATE TABLE apps (
    id {id},
    name TEXT NOT NULL UNIQUE,
    words TEXT NOT NULL,
    active {int} NOT NULL,
    document TEXT NOT NULL,
    created {int} NOT NULL,
    updated {int} NOT NULL
);

CREATE TABLE tokens (
    id {id},
    app {int} NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    words TEXT NOT NULL,
    active {int} NOT NULL,
    document TEXT NOT NULL,
    last_used {int},
    created {int} NOT NULL,
    updated {int} NOT NULL
);

CREATE INDEX tokens_of_app ON tokens (app);

CREATE TABLE plugins (
    id {id},
    name TEXT NOT NULL UNIQUE,
    slug TEXT UNIQUE,
    hook_type TEXT NOT NULL,
    namespace TEXT NOT NULL,
    words TEXT NOT NULL,
    active {int} NOT NULL,
    document TEXT NOT NULL,
    created {int} NOT NULL,
    updated {int} NOT NULL
);

CREATE TABLE llms (
    id {id},
    name TEXT NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE,
    vendor TEXT NOT NULL,
    namespace TEXT NOT NULL,
    words TEXT NOT NULL,
    active {int} NOT NULL,
    document TEXT NOT NULL,
    created {int} NOT NULL,
    updated {int} NOT NULL
);

CREATE TABLE prices (
    id {id},
    vendor TEXT NOT NULL,
    model TEXT NOT NULL,
    valid_from {int} NOT NULL,
    words TEXT NOT NULL,
    document TEXT NOT NULL,
    created {int} NOT NULL,
    updated {int} NOT NULL,
    UNIQUE (vendor, model, valid_from)
);

CREATE TABLE plugin_values (
    plugin TEXT NOT NULL,
    name TEXT NOT NULL,
    value {bytes} NOT NULL,
    size {int} NOT NULL,
    expires {int},
    PRIMARY KEY (plugin, name)
);

CREATE INDEX plugin_values_by_end ON plugin_values (expires);

CREATE TABLE records (
    id {id},
    kind TEXT NOT NULL,
    at {int} NOT NULL,
    app TEXT NOT NULL,
    llm TEXT NOT NULL,
    document TEXT NOT NULL
);

CREATE INDEX records_by_time ON records (kind, at);

CREATE INDEX records_of_app ON records (app, kind, at);

CREATE TABLE usage_by_day (
    day {int} NOT NULL,
    app TEXT NOT NULL,
    llm TEXT NOT NULL,
    requests {int} NOT NULL,
    input_tokens {int} NOT NULL,
    output_tokens {int} NOT NULL,
    cost {real} NOT NULL,
    PRIMARY KEY (app, llm, day)
);

CREATE TABLE changes (
    revision {id},
    kind TEXT NOT NULL,
    entity {int} NOT NULL
);

CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    number {int} NOT NULL
);
