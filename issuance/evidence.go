package issuance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

// Document is one piece of identity evidence that was seen and checked.
type Document struct {
	Kind    string
	Number  string // as printed; never leaves the tables unmasked
	Photo   bool   // used as the proof of the face
	Address bool   // used as the proof of the address
	Expires string // YYYY-MM-DD or empty
}

// proof says what a kind of document can show.
type proof struct {
	kind    string
	photo   bool
	address bool
	number  bool // it has a number of its own
}

// proofs lists the kinds of document a registration authority takes.
func proofs() []proof {
	return []proof{
		{kind: "passport", photo: true, number: true},
		{kind: "national-identity-card", photo: true, number: true},
		{kind: "residence-permit", photo: true, number: true},
		{kind: "driving-licence", photo: true, address: true, number: true},
		{kind: "armed-forces-card", photo: true, number: true},
		{kind: "birth-certificate", number: true},
		{kind: "adoption-certificate", number: true},
		{kind: "marriage-certificate", number: true},
		{kind: "deed-poll", number: true},
		{kind: "professional-registration", number: true},
		{kind: "national-insurance-letter", address: true, number: true},
		{kind: "tax-statement", address: true, number: true},
		{kind: "council-tax-bill", address: true, number: true},
		{kind: "bank-statement", address: true, number: true},
		{kind: "mortgage-statement", address: true, number: true},
		{kind: "tenancy-agreement", address: true},
		{kind: "utility-bill", address: true, number: true},
		{kind: "electoral-roll-entry", address: true},
	}
}

// leastDocuments is one with a photo, one proving the address, and one more.
const leastDocuments = 3

// mostDocuments and numberMax bound what is looked up and kept of one request
// while the ledger is held; both stand in the OpenAPI document.
const (
	mostDocuments = 16
	numberMax     = 64 // characters
)

// checkEvidence judges a set of documents on the day of today (YYYY-MM-DD).
func checkEvidence(docs []Document, today string) error {
	if err := checkCount("evidence.documents", len(docs), mostDocuments); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, doc := range docs {
		if err := doc.check(fmt.Sprintf("evidence.documents[%d]", i), today); err != nil {
			return err
		}
		key := cmp.Or(doc.numberKey(), doc.Kind)
		if seen[key] {
			return evidenceRepeated.in(fmt.Sprintf("evidence.documents[%d]", i), "the same %s twice", doc.Kind)
		}
		seen[key] = true
	}
	return completeEvidence(docs)
}

// completeEvidence judges what the documents prove together.
func completeEvidence(docs []Document) error {
	const field = "evidence.documents"
	switch {
	case len(docs) < leastDocuments:
		return evidenceCount.in(field, "%d documents, want at least %d", len(docs), leastDocuments)
	case !slices.ContainsFunc(docs, func(d Document) bool { return d.Photo }):
		return evidencePhoto.in(field, "none was used as the proof of the face (photo)")
	case !addressBeside(docs):
		return evidenceAddress.in(field, "none beside the one with the photo was used as the proof of the address")
	case !slices.ContainsFunc(docs, func(d Document) bool { return d.Number != "" }):
		return evidenceNumber.in(field, "no document's number was recorded")
	}
	return nil
}

// addressBeside reports whether one document proves the address while another
// one shows the face.
func addressBeside(docs []Document) bool {
	for i, doc := range docs {
		others := slices.Concat(docs[:i], docs[i+1:])
		if doc.Address && slices.ContainsFunc(others, func(d Document) bool { return d.Photo }) {
			return true
		}
	}
	return false
}

func (doc Document) check(field, today string) error {
	at := slices.IndexFunc(proofs(), func(p proof) bool { return p.kind == doc.Kind })
	if at < 0 {
		return evidenceKind.in(field+".kind", "%q is none of the kinds taken: %s", doc.Kind, kindsTaken())
	}
	can := proofs()[at]
	switch {
	case doc.Photo && !can.photo:
		return evidenceCannot.in(field+".photo", "a %s does not prove a face", doc.Kind)
	case doc.Address && !can.address:
		return evidenceCannot.in(field+".address", "a %s does not prove an address", doc.Kind)
	case doc.Number != "" && !can.number:
		return evidenceCannot.in(field+".number", "a %s has no number", doc.Kind)
	case checkText(field+".number", doc.Number, numberMax) != nil:
		return inputField.in(field+".number", "is no printable text of at most %d characters", numberMax)
	case doc.Number != "" && doc.numberKey() == "":
		return inputField.in(field+".number", "no letters or digits in it")
	case doc.Expires != "" && !isDate(doc.Expires):
		return inputField.in(field+".expires", "%q is no date (YYYY-MM-DD)", doc.Expires)
	case doc.Expires != "" && doc.Expires < today:
		return evidenceExpired.in(field+".expires", "the %s ended on %s", doc.Kind, doc.Expires)
	}
	return nil
}

func kindsTaken() string {
	var names []string
	for _, p := range proofs() {
		names = append(names, p.kind)
	}
	return strings.Join(names, ", ")
}

// numberKey tells the same document however its number was typed.
func (doc Document) numberKey() string {
	number := lettersAndDigits(doc.Number)
	if number == "" {
		return ""
	}
	return doc.Kind + " " + number
}

// masked shows the last two characters: enough to tell two documents apart.
func (doc Document) masked() Document {
	runes := []rune(doc.Number)
	for i := range max(0, len(runes)-2) {
		runes[i] = '*'
	}
	if len(runes) <= 2 {
		runes = []rune(strings.Repeat("*", len(runes)))
	}
	doc.Number = string(runes)
	return doc
}

// lettersAndDigits folds case, accents and everything else away, so that
// O'Brien, OBRIEN and Ó Briain's typist meet.
func lettersAndDigits(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// numberTaken refuses a document that stands for somebody else already.
func numberTaken(tx *ledger.Tx, docs []Document, person certs.UUID) error {
	for i, doc := range docs {
		key := doc.numberKey()
		if key == "" {
			continue
		}
		var others int64
		err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_documents WHERE number_key = $1 AND person <> $2`,
			key, string(person)).Scan(&others)
		if err != nil {
			return fmt.Errorf("looking for the documents of others: %w", err)
		}
		if others > 0 {
			return evidenceDuplicate.in(fmt.Sprintf("evidence.documents[%d].number", i),
				"this %s is on record for another person", doc.Kind)
		}
	}
	return nil
}

// addDocuments appends to what is on record; nothing is ever taken away.
func addDocuments(tx *ledger.Tx, person certs.UUID, docs []Document) error {
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM issuance_documents WHERE person = $1`, string(person)).Scan(&n); err != nil {
		return fmt.Errorf("numbering the documents of %s: %w", person, err)
	}
	for i, doc := range docs {
		tx.Defer(`INSERT INTO issuance_documents (person, n, kind, number, number_key, photo, address, expires, recorded)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			string(person), n+int64(i)+1, doc.Kind, doc.Number, doc.numberKey(),
			flag(doc.Photo), flag(doc.Address), doc.Expires, tx.Time().UnixMicro())
	}
	return nil
}

func documentsOf(tx *ledger.Tx, person certs.UUID) ([]Document, error) {
	rows, err := tx.Query(`SELECT kind, number, photo, address, expires FROM issuance_documents
		WHERE person = $1 ORDER BY n`, string(person))
	if err != nil {
		return nil, fmt.Errorf("reading the documents of %s: %w", person, err)
	}
	defer rows.Close()
	var docs []Document
	for rows.Next() {
		var doc Document
		var photo, address int64
		if err := rows.Scan(&doc.Kind, &doc.Number, &photo, &address, &doc.Expires); err != nil {
			return nil, fmt.Errorf("reading a document of %s: %w", person, err)
		}
		doc.Photo, doc.Address = photo != 0, address != 0
		docs = append(docs, doc.masked())
	}
	return docs, rows.Err()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}
