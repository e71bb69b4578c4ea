// Package issuance is the desk where a person becomes a card holder.
//
// It owns the person on record with the identity evidence, the case from
// request to handover, the card with its pairs and its history, the bootstrap
// operators, and the log of who decided what, when and under which policies.
// Evidence, contact details and document numbers stay in its tables: no change
// in the journal carries them. It alone writes the managed subtree of the
// directory.
//
// What it promises:
//   - Two persons. A card exists only after one person approved and another
//     issued, neither of them its holder; no identity can do both, whatever
//     roles it holds (FIPS 201-3 §2.7: a single corrupt official cannot issue
//     a wrong credential). A renewal by anybody but the holder needs a proof by
//     the card's own key, and a replacement is a case like the first.
//   - Rights at the moment of use. An operator's certificate, card and role
//     profiles are read from the registers inside the transaction that uses
//     them, never from a replica, a session or a handshake.
//   - The pair. A card's two certificates are issued, renewed, held and revoked
//     together, in one transaction with the card's state, the directory and the
//     decision.
//   - Asked twice, issued once. A request id is bound to operator, subject and
//     content; the same again gets the same certificates, anything else is
//     refused. A process killed at any point leaves no usable certificate the
//     register does not know (see ca.Authority.Recover).
//
// Between issue and handover a card's certificates are good, though no such card
// signs in here: it must be active. Holding them until the handover
// (certificateHold, RFC 5280 §5.3.1) was weighed and left. A verifier that keeps
// revocation lists would go on refusing a card just handed over for as long as
// its copy of the list lives, and whoever holds a card back from its holder has
// no passcode for it. A card that is on its way, or not collected, is suspended
// or cancelled like any other (FIPS 201-3 §2.9.4).
//
// Refusals are *Refusal (or *policies.Refusal for what policy decides about a
// certificate), each with the rule's stable name. Everything else is a fault.
package issuance
