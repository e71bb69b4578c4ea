// Package ocsp answers whether a certificate is still good. It owns the status table of the read side (every serial ever
// recorded and what became of it), the codec, the responder keys and the answer cache of an OCSP responder, and the
// download of certificate lists and CA certificates.
//
// It follows RFC 6960 (OCSP), RFC 9919 (the lightweight profile, which replaced RFC 5019) and RFC 9654 (nonces), and for
// the lists RFC 5280 §4.2.1.13.
//
// What it promises:
//
//   - Nothing is called good but a certificate that this copy has seen recorded and not revoked, as of thisUpdate, which
//     is never newer than what the copy knows. A serial never recorded is unknown, also one that was only reserved.
//   - Once the table's Committed has returned, no answer begun afterwards shows an older status: stored answers carry the
//     generation of the data they were made from, and each request compares it.
//   - A copy older than [Limits.Stale], a quarantined ledger and a responder certificate that has ended give tryLater.
//     Lists are served even then: a relying system that cannot fetch one treats every certificate as valid.
//   - No CA key is needed. For each issuer the responder makes a key of its own and lets the CA certify it for a short
//     time ([Enroller]); the key is never written anywhere.
//
// HTTP comes in two layers. [Responder.Handler] is the whole service as one http.Handler: OCSP in every form HTTP allows,
// lists, CA certificates, errors. Write and test against that. [Server] stands in front of it on the port: it answers
// OCSP requests of the plainest form itself, in a third of the time net/http takes for a fixed answer, and hands a
// connection over to net/http with the first request of any other form. It never refuses a request and never interprets
// one that it does not take whole, so there is one place for each rule. What is added to the port (downloads, archives)
// is added to the Handler and need not know of the Server.
//
// Why not another HTTP server for the whole port: the request is a line and three fields, which one function can read
// strictly; a fuzz test holds it to what net/http reads from the same octets. A second full HTTP implementation would
// be one more reader of chunked bodies, folded lines and ranges to trust.
//
// Deviations from the standards, each for a client that exists: a nonce in singleRequestExtensions is echoed in
// responseExtensions (Keycloak); a nonce without its inner OCTET STRING is echoed as it came (old Java clients);
// GET accepts base64 without padding, with spaces for +, and in the URL alphabet.
package ocsp
