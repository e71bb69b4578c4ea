// Package certs says what a certificate is here: its serial number and the
// issuer that counts it, its status and reason, the holder's names as they
// stand in a subject, the object identifiers the product uses, and the journal
// changes about certificates with their encodings.
//
// The package is pure: no I/O, no clock, no state. Both sides of the house
// import it, so that the register that writes a status and the replica that
// answers for it mean the same thing. The encodings of the changes are fixed
// for ever by golden files in testdata; a new need is a new version byte.
//
// It follows RFC 5280 for serials, reasons and names, and RFC 6960 for the
// identification of an issuer by the hash of its key.
package certs
