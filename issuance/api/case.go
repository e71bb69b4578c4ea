package api

// Kinds of case.
const (
	CaseFirst       = "first"
	CaseReplacement = "replacement"
)

// States of a case.
const (
	CaseRequested  = "requested"
	CaseApproved   = "approved"
	CaseRefused    = "refused"
	CaseIssued     = "issued"
	CaseHandedOver = "handed-over"
	CaseWithdrawn  = "withdrawn" // its person or its card ended first
)

// NewCase asks for a card for a person.
type NewCase struct {
	Person string `json:"person"`
	Reason string `json:"reason,omitempty"`
}

// Case is one person's way to one card: every decision with who, when and
// under which rules.
type Case struct {
	ID         string    `json:"id"`
	Person     string    `json:"person"`
	Kind       string    `json:"kind"`
	State      string    `json:"state"`
	Card       string    `json:"card"`               // the card's number, set aside when the case opens
	Replaces   string    `json:"replaces,omitempty"` // the card a replacement stands for
	Requested  Decision  `json:"requested"`
	Approved   *Decision `json:"approved,omitempty"`
	Refused    *Decision `json:"refused,omitempty"`
	Issued     *Decision `json:"issued,omitempty"`
	HandedOver *Decision `json:"handed_over,omitempty"`
	Withdrawn  *Decision `json:"withdrawn,omitempty"`
}

// CasePage is one page of cases, oldest first.
type CasePage struct {
	Cases []Case `json:"cases"`
	Next  string `json:"next,omitempty"`
}

// CaseFilter narrows a listing.
type CaseFilter struct {
	Person string
	State  string
	After  string
	Limit  int
}

// CaseWritten answers every verb on a case but Issue.
type CaseWritten struct {
	Case  string `json:"case"`
	State string `json:"state"`
	Written
}

// Reason is the body of a verb that needs no more than why.
type Reason struct {
	Reason string `json:"reason,omitempty"`
}

// PairRequest asks for a card's two certificates. RequestID is chosen by the
// station: 8 to 64 of [A-Za-z0-9._-]. Asking again with the same content gets
// the same certificates; the same id with other content is a conflict.
type PairRequest struct {
	RequestID         string       `json:"request_id"`
	AuthenticationCSR string       `json:"authentication_csr"` // PKCS #10, PEM
	SignatureCSR      string       `json:"signature_csr"`
	Attestation       *Attestation `json:"attestation,omitempty"`
	// Proof is needed when somebody else than the holder asks for a renewal.
	Proof *HolderProof `json:"proof,omitempty"`
}

// Attestation shows that both keys were made in one card: the card maker's
// intermediate certificate and one statement a slot, PEM.
type Attestation struct {
	Intermediate   string `json:"intermediate"`
	Authentication string `json:"authentication"`
	Signature      string `json:"signature"`
}

// Serials of a pair, lower-case hex.
type Serials struct {
	Authentication string `json:"authentication"`
	Signature      string `json:"signature"`
}

// Certificates of a pair, PEM.
type Certificates struct {
	Authentication string `json:"authentication"`
	Signature      string `json:"signature"`
}

// Issued answers Issue and Renew.
type Issued struct {
	Card         string       `json:"card"`
	Serials      Serials      `json:"serials"`
	Certificates Certificates `json:"certificates"`
	Written
}
