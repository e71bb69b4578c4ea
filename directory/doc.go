// Package directory owns what an entry of the directory is: names (RFC 4514),
// schema (RFC 4512), syntaxes and matching (RFC 4517, RFC 4518, RFC 4523),
// filters (RFC 4515), LDIF (RFC 2849), the rules on what an entry may hold,
// the access rules, and the encoded form of every change to an entry.
//
// The package is pure: it keeps no state, opens nothing but the schema files
// it is handed, and is used alike by the side that writes entries and by the
// side that answers searches. It promises:
//
//   - a Key is the one normal form of a name: equal names, however spelled,
//     have equal keys, and a subtree is the set of keys with one prefix;
//   - a value's normal form is computed once and compared as bytes, and where
//     an ordering rule exists the order of the bytes is the order of the rule;
//   - decoders never panic, never trust a length they read, and say where in
//     the input they stopped;
//   - a filter never fails: what cannot be decided is Undefined
//     (RFC 4511 §4.5.1.7).
//
// Result codes are those OpenLDAP's slapd 2.5 gives in the same case, because
// clients branch on them; where that differs from the RFC the place says so.
package directory
