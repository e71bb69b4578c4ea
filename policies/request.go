package policies

import (
	"crypto"
	"crypto/x509"
	"net"
	"time"

	"cardinal/certs"
)

// Request asks for one certificate. Nothing in it comes from a certification
// request but PublicKey, after ProveCSR.
type Request struct {
	Profile    string
	Issuer     *x509.Certificate // nil for a root, which is its own issuer
	IssuerName string            // as in the URLs (certs.IssuerName); its kind is what a profile names
	Serial     certs.Serial
	Now        time.Time
	Subject    Subject
	PublicKey  crypto.PublicKey
	Shard      uint16        // number of the issuer's revocation list that will name it
	PublicURL  string        // http://host[:port][/path], no slash at the end
	Validity   time.Duration // 0 = the profile's; less only where the profile says shorter
}

// Subject is whom a certificate names. A profile takes from it what it needs
// and refuses what it has no place for.
type Subject struct {
	UUID         string // 12 digits: authentication and signature
	Given        string // signature
	Family       string // signature
	Organization string // O, in place of the configured one
	CommonName   string // every profile that is not a person's
	UPN          string
	Mail         []string
	SID          string // S-1-5-…
	DNSNames     []string
	IPs          []net.IP
}
