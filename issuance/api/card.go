package api

import "time"

// States of a card. CardExpired is never stored: it is what issued, active and
// suspended become when the pair's time is over.
const (
	CardIssued    = "issued"
	CardActive    = "active"
	CardSuspended = "suspended"
	CardCancelled = "cancelled"
	CardReplaced  = "replaced"
	CardExpired   = "expired"
)

// Card is one card and its present pair.
type Card struct {
	ID         string      `json:"id"`
	Person     string      `json:"person"`
	Case       string      `json:"case"`
	State      string      `json:"state"`
	Reason     string      `json:"reason,omitempty"` // of a suspension or cancellation
	Replaces   string      `json:"replaces,omitempty"`
	ReplacedBy string      `json:"replaced_by,omitempty"`
	Pair       uint32      `json:"pair"` // 1 for the first pair, raised by each renewal
	Serials    Serials     `json:"serials"`
	NotBefore  time.Time   `json:"not_before"`
	NotAfter   time.Time   `json:"not_after"`
	RenewFrom  time.Time   `json:"renew_from"` // when its holder may renew it
	Events     []CardEvent `json:"events,omitempty"`
}

// CardEvent is one line of a card's history.
type CardEvent struct {
	Verb     string   `json:"verb"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to"`
	Decision Decision `json:"decision"`
}

// CardPage is one page of cards.
type CardPage struct {
	Cards []Card `json:"cards"`
	Next  string `json:"next,omitempty"`
}

// CardFilter narrows a listing.
type CardFilter struct {
	Person string
	State  string // a stored state, or expired
	After  string
	Limit  int
}

// CardWritten answers every verb on a card but Renew.
type CardWritten struct {
	Card  string `json:"card"`
	State string `json:"state"`
	Case  string `json:"case,omitempty"` // the case a replacement opened
	Written
}

// CancelCard ends a card for good. Reason is lost, stolen, damaged, left,
// superseded or compromised; each certificate gets the CRL reason the policy
// names for it. Since is when a key may have been in other hands (RFC 5280
// §5.3.2 invalidityDate), never in the future. For Replace the reason may be
// absent: superseded, or whatever a card already cancelled was cancelled for.
type CancelCard struct {
	Reason string     `json:"reason,omitempty"`
	Note   string     `json:"note,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	// PasscodeKnown says that somebody else may know the passcode: a lost
	// card's signatures then no longer stand.
	PasscodeKnown bool `json:"passcode_known,omitempty"`
	// SignaturesFall says that this is known and meant; such a cancellation is
	// refused without it.
	SignaturesFall bool `json:"signatures_fall,omitempty"`
}

// CertificateStatus is good, held or revoked, with the CRL reason by its
// RFC 5280 §5.3.1 name.
type CertificateStatus struct {
	State  string     `json:"state"`
	Reason string     `json:"reason,omitempty"`
	At     *time.Time `json:"at,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
}

// Certificate is one certificate of record.
type Certificate struct {
	Issuer    string            `json:"issuer"` // name: root, authentication, signing, services
	Serial    string            `json:"serial"`
	Profile   string            `json:"profile"`
	Holder    string            `json:"holder,omitempty"`
	Card      string            `json:"card,omitempty"`
	Shard     int               `json:"shard"`
	NotBefore time.Time         `json:"not_before"`
	NotAfter  time.Time         `json:"not_after"`
	Status    CertificateStatus `json:"status"`
	DER       []byte            `json:"der"`
}

// CertificateList answers Certificates: a serial is unique per issuer only
// (RFC 5280 §4.1.2.2), so there may be more than one.
type CertificateList struct {
	Certificates []Certificate `json:"certificates"`
}

// Issuer is one certification authority of this house.
type Issuer struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"` // SHA-256 of its subjectPublicKey, hex
	Subject   string    `json:"subject"`
	Serial    string    `json:"serial"`
	Shards    int       `json:"shards"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	DER       []byte    `json:"der"`

	Starts  *time.Time `json:"starts,omitempty"`  // from when on it issues
	Stopped *time.Time `json:"stopped,omitempty"` // when it ended
	How     string     `json:"how,omitempty"`     // revoked or retired
}

// IssuerList answers Issuers.
type IssuerList struct {
	Issuers []Issuer `json:"issuers"`
}

// List is the newest certificate revocation list of one issuer and name. List
// is the name as it stands in its URL: 0, 1, …, full, archive, and with -delta
// behind it what changed since the list numbered Base. Packed is the octets of
// its form in gzip, 0 when there is none.
type List struct {
	Issuer     string    `json:"issuer"`
	List       string    `json:"list"`
	Shard      int       `json:"shard"`
	Number     uint64    `json:"number"`
	Base       uint64    `json:"base,omitempty"`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Size       int64     `json:"size"` // octets of DER
	Packed     int64     `json:"packed,omitempty"`
	SHA256     string    `json:"sha256"`
}

// Lists answers Lists and PublishLists. Position is 0 for a reading.
type Lists struct {
	Lists []List `json:"lists"`
	Written
}

// PublishLists asks for new lists: of every issuer whose key is here when
// Issuer is empty, all of them when neither Shard nor List says which.
type PublishLists struct {
	Issuer string `json:"issuer,omitempty"`
	Shard  *int   `json:"shard,omitempty"`
	List   string `json:"list,omitempty"`
}
