package issuance

import "cardinal/internal/ledger"

// Room gives the desk's tables. Their contents never travel: no change in the
// journal carries evidence, contact details, photographs or document numbers.
//
// issuance_decisions is the log: subject is a person's number, a case's, a
// card's or an operator's name; n counts from 1 a subject; from_state and
// to_state are set where the verb moved one.
func Room() ledger.Room {
	return ledger.Room{Name: "issuance", Migrations: []string{schemaOne, schemaTwo}}
}

// schemaTwo: orders on many cards. In issuance_order_cards a row with an empty
// outcome and n up to the order's cursor is done; the others have the name of
// the rule that left them out. request is the one who asks' own id.
const schemaTwo = `
CREATE TABLE issuance_orders (
	id TEXT PRIMARY KEY, request TEXT NOT NULL UNIQUE, asked BYTEA NOT NULL,
	verb TEXT NOT NULL, state TEXT NOT NULL, selection TEXT NOT NULL, undoes TEXT NOT NULL,
	reason TEXT NOT NULL, note TEXT NOT NULL, since BIGINT NOT NULL,
	passcode_known BIGINT NOT NULL, signatures_fall BIGINT NOT NULL,
	by_identity TEXT NOT NULL, by_role TEXT NOT NULL, by_certificate BYTEA NOT NULL, placed BIGINT NOT NULL,
	second_identity TEXT NOT NULL, second_role TEXT NOT NULL, second_certificate BYTEA NOT NULL, confirmed BIGINT NOT NULL,
	expires BIGINT NOT NULL, content BYTEA NOT NULL, mass BIGINT NOT NULL,
	total BIGINT NOT NULL, cursor_at BIGINT NOT NULL, done BIGINT NOT NULL, left_out BIGINT NOT NULL, spared BIGINT NOT NULL,
	started BIGINT NOT NULL, ended BIGINT NOT NULL, held BIGINT NOT NULL
);
CREATE INDEX issuance_orders_state ON issuance_orders (state, placed);
CREATE TABLE issuance_order_cards (
	order_id TEXT NOT NULL, n BIGINT NOT NULL, card TEXT NOT NULL, outcome TEXT NOT NULL,
	PRIMARY KEY (order_id, n)
);
CREATE INDEX issuance_order_cards_left ON issuance_order_cards (order_id, n) WHERE outcome <> '';
CREATE TABLE issuance_break_glass (
	card TEXT PRIMARY KEY, since BIGINT NOT NULL, by_identity TEXT NOT NULL, note TEXT NOT NULL
);
`

const schemaOne = `
CREATE TABLE issuance_persons (
	uuid TEXT PRIMARY KEY,
	title TEXT NOT NULL, given TEXT NOT NULL, middle TEXT NOT NULL, family TEXT NOT NULL,
	birth TEXT NOT NULL, mail TEXT NOT NULL, phone TEXT NOT NULL, upn TEXT NOT NULL,
	status TEXT NOT NULL, photo BYTEA NOT NULL,
	name_key TEXT NOT NULL, family_key TEXT NOT NULL
);
CREATE INDEX issuance_persons_name ON issuance_persons (name_key);
CREATE INDEX issuance_persons_family ON issuance_persons (family_key, uuid);
CREATE INDEX issuance_persons_mail ON issuance_persons (LOWER(mail));
CREATE INDEX issuance_persons_upn ON issuance_persons (LOWER(upn));
CREATE TABLE issuance_documents (
	person TEXT NOT NULL, n BIGINT NOT NULL,
	kind TEXT NOT NULL, number TEXT NOT NULL, number_key TEXT NOT NULL,
	photo BIGINT NOT NULL, address BIGINT NOT NULL, expires TEXT NOT NULL,
	recorded BIGINT NOT NULL,
	PRIMARY KEY (person, n)
);
CREATE INDEX issuance_documents_number ON issuance_documents (number_key);
CREATE TABLE issuance_positions (
	id TEXT PRIMARY KEY, person TEXT NOT NULL, organisation TEXT NOT NULL, manager BIGINT NOT NULL
);
CREATE INDEX issuance_positions_manager ON issuance_positions (manager, person);
CREATE TABLE issuance_cases (
	id TEXT PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
	card TEXT NOT NULL UNIQUE, replaces TEXT NOT NULL, opened BIGINT NOT NULL
);
CREATE INDEX issuance_cases_person ON issuance_cases (person);
CREATE INDEX issuance_cases_order ON issuance_cases (opened, id);
CREATE TABLE issuance_cards (
	id TEXT PRIMARY KEY, person TEXT NOT NULL, case_id TEXT NOT NULL,
	state TEXT NOT NULL, before_hold TEXT NOT NULL, reason TEXT NOT NULL,
	replaces TEXT NOT NULL, replaced_by TEXT NOT NULL,
	pair BIGINT NOT NULL, not_before BIGINT NOT NULL, not_after BIGINT NOT NULL
);
CREATE INDEX issuance_cards_person ON issuance_cards (person);
CREATE TABLE issuance_pairs (
	card TEXT NOT NULL, pair BIGINT NOT NULL,
	authentication_issuer BYTEA NOT NULL, authentication_serial BYTEA NOT NULL, authentication_key BYTEA NOT NULL,
	signature_issuer BYTEA NOT NULL, signature_serial BYTEA NOT NULL, signature_key BYTEA NOT NULL,
	not_before BIGINT NOT NULL, not_after BIGINT NOT NULL,
	PRIMARY KEY (card, pair)
);
CREATE TABLE issuance_requests (
	id TEXT PRIMARY KEY, operator TEXT NOT NULL, subject TEXT NOT NULL, content BYTEA NOT NULL,
	card TEXT NOT NULL, pair BIGINT NOT NULL, recorded BIGINT NOT NULL
);
CREATE TABLE issuance_operators (
	name TEXT PRIMARY KEY, role TEXT NOT NULL,
	issuer BYTEA NOT NULL, serial BYTEA NOT NULL,
	since BIGINT NOT NULL, until BIGINT NOT NULL, ended BIGINT NOT NULL, why TEXT NOT NULL
);
CREATE UNIQUE INDEX issuance_operators_certificate ON issuance_operators (issuer, serial);
CREATE TABLE issuance_decisions (
	subject TEXT NOT NULL, n BIGINT NOT NULL,
	verb TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL,
	actor TEXT NOT NULL, role TEXT NOT NULL, at BIGINT NOT NULL, policies BYTEA NOT NULL, reason TEXT NOT NULL,
	PRIMARY KEY (subject, n)
);
`
