"""The tables of ``llm``'s logs.db, as its versions made them, with rows as they write them.

Each script adds to the ones before it what that version added. Read off the
migrations of llm 0.36, and off databases that 0.13, 0.20 and 0.36 wrote.
"{folder}" stands for a folder.
"""
# ruff: noqa: E501

LLM_0_13 = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (
  id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
  response TEXT, response_json TEXT, conversation_id TEXT REFERENCES conversations(id),
  duration_ms INTEGER, datetime_utc TEXT
);
INSERT INTO conversations VALUES ('c1', 'Greetings', 'gpt-4o');
INSERT INTO responses VALUES
  ('r1', 'gpt-4o', 'Hello', 'Be brief.', NULL, '{}', 'Hi.', NULL, 'c1', 10, '2024-01-02T03:04:05'),
  ('r2', 'gpt-4o', 'Bye', NULL, NULL, '{}', 'So long.', NULL, 'c1', 10, '2024-01-02T03:05:00');
"""
LLM_0_17 = """
ALTER TABLE responses ADD COLUMN input_tokens INTEGER;
ALTER TABLE responses ADD COLUMN output_tokens INTEGER;
ALTER TABLE responses ADD COLUMN token_details TEXT;
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (
  response_id TEXT REFERENCES responses(id), attachment_id TEXT REFERENCES attachments(id),
  "order" INTEGER, PRIMARY KEY (response_id, attachment_id)
);
INSERT INTO conversations VALUES ('c2', NULL, 'llava');
INSERT INTO responses VALUES
  ('r3', 'llava', 'What is this?', NULL, NULL, '{}', 'A cat.', NULL, 'c2', 10,
   '2024-11-01T00:00:00.5+00:00', 300, 3, NULL);
INSERT INTO attachments VALUES
  ('inside', 'image/png', NULL, NULL, CAST('cat' AS BLOB)),
  ('beside', 'image/png', '{folder}/dog.png', NULL, NULL),
  ('gone', 'image/png', '{folder}/gone.png', NULL, NULL),
  ('far', 'image/png', NULL, 'http://127.0.0.1:1/bird.png', NULL),
  ('sound', 'audio/wav', NULL, NULL, CAST('miaow' AS BLOB));
INSERT INTO prompt_attachments VALUES
  ('r3', 'beside', 1), ('r3', 'inside', 0), ('r3', 'gone', 2), ('r3', 'far', 3), ('r3', 'sound', 4);
"""
LLM_0_24 = """
ALTER TABLE responses ADD COLUMN schema_id TEXT;
CREATE TABLE fragments (
  id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT
);
CREATE TABLE prompt_fragments (
  response_id TEXT REFERENCES responses(id), fragment_id INTEGER REFERENCES fragments(id),
  "order" INTEGER, PRIMARY KEY (response_id, fragment_id, "order")
);
CREATE TABLE system_fragments (
  response_id TEXT REFERENCES responses(id), fragment_id INTEGER REFERENCES fragments(id),
  "order" INTEGER, PRIMARY KEY (response_id, fragment_id, "order")
);
CREATE TABLE tool_calls (
  id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
  tool_call_id TEXT
);
INSERT INTO conversations VALUES ('c3', 'Novel', 'gpt-4o');
INSERT INTO responses VALUES
  ('r4', 'gpt-4o', 'Who did it?', 'Guess.', NULL, '{}', '', NULL, 'c3', 1,
   '2025-05-01T00:00:00+02:00', NULL, NULL, NULL, NULL),
  ('r5', 'gpt-4o', '', NULL, NULL, '{}', 'The gardener.', NULL, 'c3', 1,
   '2025-05-01T00:00:01+02:00', NULL, NULL, NULL, NULL);
INSERT INTO fragments VALUES (1, 'h1', 'Chapter 1', '', ''), (2, 'h2', 'Chapter 2', '', '');
INSERT INTO prompt_fragments VALUES ('r4', 2, 1), ('r4', 1, 0);
INSERT INTO system_fragments VALUES ('r4', 1, 0);
INSERT INTO tool_calls VALUES (1, 'r4', NULL, 'look', '{}', 'x');
"""
LLM_0_32 = """
CREATE TABLE messages (
  hash TEXT PRIMARY KEY, parent_hash TEXT REFERENCES messages(hash), role TEXT,
  provider_metadata TEXT
);
CREATE TABLE parts (
  id INTEGER PRIMARY KEY, message_hash TEXT REFERENCES messages(hash), position INTEGER, type TEXT,
  tool_name TEXT, text TEXT, payload TEXT
);
CREATE TABLE threads (
  id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT
);
CREATE TABLE turns (
  id TEXT PRIMARY KEY, thread_id TEXT REFERENCES threads(id), parent_message_hash TEXT,
  tip_message_hash TEXT, model TEXT, resolved_model TEXT, options_json TEXT, schema_id TEXT,
  input_tokens INTEGER, output_tokens INTEGER, token_details TEXT, duration_ms INTEGER,
  datetime_utc TEXT, response_json TEXT
);
INSERT INTO messages VALUES
  ('b2:1', NULL, 'system', NULL), ('b2:2', 'b2:1', 'user', NULL), ('b2:3', 'b2:2', 'assistant', NULL),
  ('b2:4', 'b2:3', 'tool', NULL), ('b2:5', 'b2:4', 'assistant', NULL),
  ('b2:6', 'b2:5', 'user', NULL), ('b2:7', 'b2:6', 'assistant', NULL),
  ('b2:8', 'b2:5', 'user', NULL), ('b2:9', 'b2:8', 'assistant', NULL);
INSERT INTO parts VALUES
  (1, 'b2:1', 0, 'text', NULL, 'Be kind.', NULL),
  (2, 'b2:2', 0, 'text', NULL, NULL, '{"text_ref": [{"fragment": 1}, {"literal": "\\nAnd?"}]}'),
  (3, 'b2:2', 1, 'attachment', NULL, NULL, '{"attachment": {"id": "inside"}}'),
  (4, 'b2:3', 0, 'tool_call', 'look', NULL, '{"name": "look", "arguments": {}}'),
  (5, 'b2:4', 0, 'tool_result', 'look', NULL, '{"output": "42"}'),
  (6, 'b2:5', 0, 'reasoning', NULL, 'hm', NULL), (7, 'b2:5', 1, 'text', NULL, 'A cat.', NULL),
  (8, 'b2:6', 0, 'text', NULL, 'Sure?', NULL), (9, 'b2:7', 0, 'text', NULL, 'Yes.', NULL),
  (10, 'b2:8', 0, 'text', NULL, 'Really?', NULL), (11, 'b2:9', 0, 'text', NULL, 'No.', NULL);
INSERT INTO threads VALUES ('t1', 'In threads', 'b2:9', NULL, '2026-08-01 00:00:00+00:00');
INSERT INTO turns VALUES
  ('u1', 't1', 'b2:2', 'b2:3', 'gpt-5', NULL, NULL, NULL, 9, 1, NULL, 1, '2026-08-01T01:00:00+00:00', NULL),
  ('u2', 't1', 'b2:4', 'b2:5', 'gpt-5', NULL, NULL, NULL, 9, 2, NULL, 1, '2026-08-01T02:00:00+00:00', NULL),
  ('u3', 't1', 'b2:6', 'b2:7', 'gpt-5', NULL, NULL, NULL, 9, 3, NULL, 1, '2026-08-01T03:00:00+00:00', NULL),
  ('u4', 't1', 'b2:8', 'b2:9', 'gpt-6', NULL, NULL, NULL, 9, 4, NULL, 1, '2026-08-01T04:00:00+00:00', NULL);
"""
# A conversation of the older tables that llm 0.36 went on with: it writes all of it again,
# without its attachments.
BOTH = """
INSERT INTO messages VALUES
  ('b2:a', NULL, 'user', NULL), ('b2:b', 'b2:a', 'assistant', NULL),
  ('b2:c', 'b2:b', 'user', NULL), ('b2:d', 'b2:c', 'assistant', NULL);
INSERT INTO parts VALUES
  (21, 'b2:a', 0, 'text', NULL, 'What is this?', NULL), (22, 'b2:b', 0, 'text', NULL, 'A cat.', NULL),
  (23, 'b2:c', 0, 'text', NULL, 'And now?', NULL), (24, 'b2:d', 0, 'text', NULL, 'Still.', NULL);
INSERT INTO threads VALUES ('c2', 'What is this?', 'b2:d', NULL, '2026-09-01 00:00:00+00:00');
INSERT INTO turns VALUES ('u5', 'c2', 'b2:c', 'b2:d', 'llava', NULL, NULL, NULL, NULL, NULL, NULL, 1,
  '2026-09-01T00:00:00+00:00', NULL);
"""
