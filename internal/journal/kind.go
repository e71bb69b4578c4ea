package journal

import "strconv"

// Kind says what a change's body means. The numbers never change and are never used again.
type Kind uint16

// The kinds. Each room reads its own and passes over the others.
const (
	// KindEpochBegan opens a new epoch ([EpochBegan]).
	KindEpochBegan Kind = 1
	// KindCheckpoint carries a signed statement about an earlier position ([SignedCheckpoint]).
	KindCheckpoint Kind = 2

	// KindIssuerAdded to KindCrossCertified are defined by package certs.
	KindIssuerAdded          Kind = 16
	KindCertificatesRecorded Kind = 17
	KindStatusChanged        Kind = 18
	KindListPublished        Kind = 19
	KindGenerationChanged    Kind = 20
	KindCrossCertified       Kind = 21

	// KindOrderMoved is defined by package issuance.
	KindOrderMoved Kind = 24 // many cards at once: asked for, confirmed, begun, ended

	// KindSuffixLoaded to KindSecretsChanged are defined by package directory.
	KindSuffixLoaded    Kind = 32
	KindEntryAdded      Kind = 33
	KindEntryModified   Kind = 34
	KindEntryDeleted    Kind = 35
	KindEntryMoved      Kind = 36
	KindEntriesModified Kind = 37 // set-valued: many entries, one modification
	KindSecretsChanged  Kind = 40 // password verifiers
)

// describe is a switch and no table, so that nobody can change it while the program runs. An unknown kind has no name.
func (k Kind) describe() (name string, class Class) {
	switch k {
	case KindEpochBegan:
		return "epochBegan", ClassPublic
	case KindCheckpoint:
		return "checkpoint", ClassPublic
	case KindIssuerAdded:
		return "issuerAdded", ClassPublic
	case KindCertificatesRecorded:
		return "certificatesRecorded", ClassPublic
	case KindStatusChanged:
		return "statusChanged", ClassPublic
	case KindListPublished:
		return "listPublished", ClassPublic
	case KindGenerationChanged:
		return "generationChanged", ClassPublic
	case KindCrossCertified:
		return "crossCertified", ClassPublic
	case KindOrderMoved:
		return "orderMoved", ClassNodeOnly
	case KindSuffixLoaded:
		return "suffixLoaded", ClassPublic
	case KindEntryAdded:
		return "entryAdded", ClassPublic
	case KindEntryModified:
		return "entryModified", ClassPublic
	case KindEntryDeleted:
		return "entryDeleted", ClassPublic
	case KindEntryMoved:
		return "entryMoved", ClassPublic
	case KindEntriesModified:
		return "entriesModified", ClassPublic
	case KindSecretsChanged:
		return "secretsChanged", ClassNodeOnly
	}
	return "", ClassNodeOnly
}

// Known reports whether this program knows the kind.
func (k Kind) Known() bool {
	name, _ := k.describe()
	return name != ""
}

// Class says who may see bodies of this kind. A kind this program does not know is ClassNodeOnly.
func (k Kind) Class() Class {
	_, class := k.describe()
	return class
}

// String is the kind's name, or its number.
func (k Kind) String() string {
	if name, _ := k.describe(); name != "" {
		return name
	}
	return "kind " + strconv.Itoa(int(k))
}

// Class says who may see the body of a change. A third class, what never leaves the database (evidence, PUKs, contact
// details), has no changes at all.
type Class uint8

// The classes.
const (
	ClassPublic   Class = 1 // to every enrolled node
	ClassNodeOnly Class = 2 // to read nodes, never to an edge, a change log or an export
)
