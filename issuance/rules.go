package issuance

// Where a rule comes from when it is this house's own.
const (
	clauseTwoPersons = "FIPS 201-3 §2.7; ISO/IEC 27099 separation of duties"
	clauseMatrix     = "policies/matrix.yaml"
	clauseProofing   = "FIPS 201-3 §2.7; GPG 45; policies/POLICY.md §3"
	clauseCard       = "policies/POLICY.md §4"
	clauseBootstrap  = "policies/POLICY.md §1"
	clauseForm       = "OpenAPI document"
)

// Every reason the desk itself has to say no. What is wrong with a certificate
// to be is policies' to say, and comes as a *policies.Refusal.
var (
	// Who asks.
	operatorUnknown   = rule{"operator.unknown", KindOperator, "RFC 5280 §6.1"}
	operatorRevoked   = rule{"operator.revoked", KindOperator, "RFC 5280 §6.1.3 (a)(3)"}
	operatorSuspended = rule{"operator.suspended", KindOperator, "RFC 5280 §5.3.1 certificateHold"}
	operatorExpired   = rule{"operator.expired", KindOperator, "RFC 5280 §6.1.3 (a)(2)"}
	operatorEarly     = rule{"operator.not-yet-valid", KindOperator, "RFC 5280 §6.1.3 (a)(2)"}
	operatorProfile   = rule{"operator.profile", KindOperator, clauseMatrix}
	operatorCard      = rule{"operator.card-not-active", KindOperator, clauseCard}
	operatorClosed    = rule{"operator.person-closed", KindOperator, clauseCard}
	operatorsThere    = rule{"operator.enrolled-before", KindConflict, clauseBootstrap}
	operatorEnded     = rule{"operator.ended", KindOperator, clauseBootstrap}
	notYours          = rule{"role", KindRight, clauseMatrix} // as the matrix says it

	// Persons and their evidence.
	inputField         = rule{"input.field", KindInput, clauseForm}
	personUnknown      = rule{"person.unknown", KindUnknown, clauseForm}
	personClosed       = rule{"person.closed", KindRule, clauseCard}
	personDuplicate    = rule{"person.duplicate", KindConflict, clauseProofing}
	personAddress      = rule{"person.address-of-another", KindConflict, clauseProofing}
	personNotOnRecord  = rule{"person.not-on-record", KindRule, clauseProofing}
	personNameEvidence = rule{"person.name-change-evidence", KindRule, clauseProofing}
	evidenceCount      = rule{"evidence.three-documents", KindRule, clauseProofing}
	evidenceKind       = rule{"evidence.kind", KindInput, clauseProofing}
	evidenceRepeated   = rule{"evidence.repeated", KindRule, clauseProofing}
	evidenceExpired    = rule{"evidence.expired", KindRule, clauseProofing}
	evidenceCannot     = rule{"evidence.cannot-prove", KindRule, clauseProofing}
	evidencePhoto      = rule{"evidence.photo", KindRule, clauseProofing}
	evidenceAddress    = rule{"evidence.address", KindRule, clauseProofing}
	evidenceNumber     = rule{"evidence.number", KindRule, clauseProofing}
	evidenceDuplicate  = rule{"evidence.number-of-another", KindConflict, clauseProofing}
	photoForm          = rule{"photo.form", KindInput, "ISO/IEC 19794-5; JPEG or PNG"}
	photoMissing       = rule{"photo.missing", KindRule, clauseProofing}

	// Positions.
	positionUnknown = rule{"position.unknown", KindUnknown, clauseForm}
	positionClosed  = rule{"position.closed", KindConflict, clauseForm}
	positionLater   = rule{"position.closes-later", KindRule, clauseMatrix}
	positionRole    = rule{"position.registration-role", KindRight, clauseMatrix}
	positionBoth    = rule{"position.approves-and-issues", KindRule, clauseTwoPersons}

	// Cases.
	caseUnknown = rule{"case.unknown", KindUnknown, clauseForm}
	caseState   = rule{"case.state", KindConflict, clauseCard}
	caseOpen    = rule{"case.already-open", KindConflict, clauseCard}
	caseChanged = rule{"case.person-changed", KindConflict, clauseTwoPersons}
	caseHasCard = rule{"case.card-exists", KindConflict, clauseCard}

	// Pairs.
	requestID       = rule{"request.id", KindInput, clauseForm}
	requestOther    = rule{"request.other-content", KindConflict, clauseForm}
	pairSameKey     = rule{"pair.same-key", KindRule, "FIPS 201-3 §4.2.2; SP 800-73 part 1"}
	pairNames       = rule{"pair.names-changed", KindConflict, clauseCard}
	keyOtherCard    = rule{"key.seen-on-another-card", KindRule, "RFC 5280 §4.2.1.2; SP 800-57 part 1 §5.2"}
	keyUsedBefore   = rule{"key.used-before", KindRule, "SP 800-57 part 1 §5.3"}
	attestationNone = rule{"attestation.missing", KindRule, clauseCard}

	// Cards.
	cardUnknown  = rule{"card.unknown", KindUnknown, clauseForm}
	cardState    = rule{"card.state", KindConflict, clauseCard}
	cardExpired  = rule{"card.expired", KindConflict, clauseCard}
	cancelFall   = rule{"cancel.signatures-fall", KindRule, "policies/events.yaml; RFC 5280 §5.3.1 keyCompromise"}
	cancelSince  = rule{"cancel.since", KindInput, "RFC 5280 §5.3.2"}
	renewEarly   = rule{"renew.too-early", KindRule, clauseCard}
	renewRenamed = rule{"renew.name-changed", KindRule, clauseTwoPersons}
	renewProof   = rule{"renew.proof", KindRule, clauseTwoPersons}

	// Many cards.
	orderUnknown   = rule{"order.unknown", KindUnknown, clauseForm}
	orderVerb      = rule{"order.verb", KindInput, clauseForm}
	orderSelection = rule{"order.selection", KindInput, clauseForm}
	orderFilter    = rule{"order.filter", KindInput, "RFC 4515"}
	orderNobody    = rule{"order.nothing-chosen", KindRule, clauseForm}
	orderMany      = rule{"order.too-many-open", KindConflict, clauseCard}
	orderOther     = rule{"order.other-content", KindConflict, clauseForm}
	orderState     = rule{"order.state", KindConflict, clauseCard}
	orderExpired   = rule{"order.expired", KindConflict, clauseCard}
	orderSame      = rule{"order.same-person", KindRight, clauseTwoPersons}
	orderContent   = rule{"order.content", KindConflict, clauseTwoPersons}
	orderUndo      = rule{"order.undo", KindConflict, clauseCard}
	orderSpared    = rule{"order.break-glass", KindRule, clauseCard}
	breakGlassLast = rule{"break-glass.many", KindRule, clauseCard}
	breakGlassCard = rule{"break-glass.card", KindRule, clauseCard}
	positionAhead  = rule{"position.ahead", KindInput, clauseForm}

	// Certificates.
	certificateUnknown = rule{"certificate.unknown", KindUnknown, "RFC 5280 §4.1.2.2"}
	listUnknown        = rule{"list.unknown", KindUnknown, clauseForm}
)
