// Package api is what a station, a command or a relying system may say to the
// issuance desk, and what it hears back: the routes, the wire types, the
// problem document, the OpenAPI 3.1 description of them all, and a Client with
// one method a route.
//
// It promises that Routes, the Client's methods and the paths of its OpenAPI document are
// the same set, and that an answer which is not a success is a *Problem
// (RFC 9457) or an *Unreachable, so that a caller can tell "refused by a rule"
// from "could not be asked".
//
// The package has no rules of its own: who may do what is decided behind the
// server. Instants are RFC 3339 in UTC, dates are YYYY-MM-DD, serials are
// lower-case hex, byte strings are base64, certificates and requests are PEM
// (RFC 7468) unless a field is called der.
package api
