// Package stamp says when something existed (RFC 3161). A prescription that was
// signed and stamped before its card was lost stays good when the card's
// certificates are revoked: the stamp is what shows which came first.
//
// A stamp names the time to the second and promises it within three: one for
// being cut off, two for how far the clocks of host and ledger may differ. When
// the time is in doubt none is given. Imprints by SHA-256, SHA-384 and SHA-512
// are taken, not by SHA-1. There is one policy and no extension.
//
// The key belongs to this node. Its certificate comes from the Services CA; the
// key signs for a year of the three that the certificate lives, so that a stamp
// can be checked for two years without more. Who needs longer stamps again.
package stamp
