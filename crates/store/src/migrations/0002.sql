CREATE TABLE limits (
    name TEXT PRIMARY KEY,
    ends {int} NOT NULL
);
