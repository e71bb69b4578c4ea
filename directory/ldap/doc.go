// Package ldap is RFC 4511 on the wire: it reads requests, decides who asks
// and what he may see, searches directory/tree, hands updates to whoever
// writes, and answers.
//
// What it promises:
//
//   - the codes, matched names and returned names are those OpenLDAP's slapd
//     2.5 gives in the same case, because clients branch on them;
//   - what access rules hide is not shown by any code, count, matched name or
//     filter: a hidden attribute is Undefined, a hidden entry does not exist;
//   - a request is judged from its first octets. Nothing is allocated from a
//     declared length, and every bound stands in limits.go with its reason;
//   - a slow client holds nothing but its connection: entries are copied out of
//     the store before they go to the socket;
//   - an update is answered when this node's own copy shows it;
//   - nothing is answered from a copy that is too old to be believed.
//
// Requests of one connection run concurrently and may be answered out of order
// (RFC 4511 §3.1), but a Bind waits for those before it and those after it wait
// for the Bind. Short searches run on the goroutine that reads the connection;
// a long one moves to its own, between two steps.
//
// Aliases and referral entries are treated as plain entries: nothing is
// dereferenced, and ManageDsaIT changes nothing.
package ldap
