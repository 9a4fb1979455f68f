CREATE TABLE documents (
    id {id},
    source TEXT NOT NULL,
    content TEXT NOT NULL,
    metadata TEXT NOT NULL,
    dimensions {int} NOT NULL,
    embedding {bytes} NOT NULL
);
CREATE INDEX documents_source ON documents (source, id)
