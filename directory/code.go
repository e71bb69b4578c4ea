package directory

import "strconv"

// Code is an LDAP result code (RFC 4511 §4.1.9, Appendix A).
type Code uint16

// The result codes this package and its callers use.
const (
	Success                      Code = 0
	OperationsError              Code = 1
	ProtocolError                Code = 2
	TimeLimitExceeded            Code = 3
	SizeLimitExceeded            Code = 4
	CompareFalse                 Code = 5
	CompareTrue                  Code = 6
	AuthMethodNotSupported       Code = 7
	StrongerAuthRequired         Code = 8
	Referral                     Code = 10
	AdminLimitExceeded           Code = 11
	UnavailableCriticalExtension Code = 12
	ConfidentialityRequired      Code = 13
	SASLBindInProgress           Code = 14
	NoSuchAttribute              Code = 16
	UndefinedAttributeType       Code = 17
	InappropriateMatching        Code = 18
	ConstraintViolation          Code = 19
	AttributeOrValueExists       Code = 20
	InvalidAttributeSyntax       Code = 21
	NoSuchObject                 Code = 32
	AliasProblem                 Code = 33
	InvalidDNSyntax              Code = 34
	AliasDereferencingProblem    Code = 36
	InappropriateAuthentication  Code = 48
	InvalidCredentials           Code = 49
	InsufficientAccessRights     Code = 50
	Busy                         Code = 51
	Unavailable                  Code = 52
	UnwillingToPerform           Code = 53
	LoopDetect                   Code = 54
	NamingViolation              Code = 64
	ObjectClassViolation         Code = 65
	NotAllowedOnNonLeaf          Code = 66
	NotAllowedOnRDN              Code = 67
	EntryAlreadyExists           Code = 68
	ObjectClassModsProhibited    Code = 69
	AffectsMultipleDSAs          Code = 71
	Other                        Code = 80
)

var codeNames = map[Code]string{
	Success: "success", OperationsError: "operationsError", ProtocolError: "protocolError",
	TimeLimitExceeded: "timeLimitExceeded", SizeLimitExceeded: "sizeLimitExceeded",
	CompareFalse: "compareFalse", CompareTrue: "compareTrue",
	AuthMethodNotSupported: "authMethodNotSupported", StrongerAuthRequired: "strongerAuthRequired",
	Referral: "referral", AdminLimitExceeded: "adminLimitExceeded",
	UnavailableCriticalExtension: "unavailableCriticalExtension",
	ConfidentialityRequired:      "confidentialityRequired", SASLBindInProgress: "saslBindInProgress",
	NoSuchAttribute: "noSuchAttribute", UndefinedAttributeType: "undefinedAttributeType",
	InappropriateMatching: "inappropriateMatching", ConstraintViolation: "constraintViolation",
	AttributeOrValueExists: "attributeOrValueExists", InvalidAttributeSyntax: "invalidAttributeSyntax",
	NoSuchObject: "noSuchObject", AliasProblem: "aliasProblem", InvalidDNSyntax: "invalidDNSyntax",
	AliasDereferencingProblem:   "aliasDereferencingProblem",
	InappropriateAuthentication: "inappropriateAuthentication", InvalidCredentials: "invalidCredentials",
	InsufficientAccessRights: "insufficientAccessRights", Busy: "busy", Unavailable: "unavailable",
	UnwillingToPerform: "unwillingToPerform", LoopDetect: "loopDetect", NamingViolation: "namingViolation",
	ObjectClassViolation: "objectClassViolation", NotAllowedOnNonLeaf: "notAllowedOnNonLeaf",
	NotAllowedOnRDN: "notAllowedOnRDN", EntryAlreadyExists: "entryAlreadyExists",
	ObjectClassModsProhibited: "objectClassModsProhibited", AffectsMultipleDSAs: "affectsMultipleDSAs",
	Other: "other",
}

// String returns the name RFC 4511 gives the code, or its number.
func (c Code) String() string {
	if n, ok := codeNames[c]; ok {
		return n
	}
	return strconv.Itoa(int(c))
}

// Error is a refusal with the result code a client shall see. Message is fit
// to be sent: it names attributes and rules, never a password value. Matched
// is the deepest existing ancestor for NoSuchObject, empty otherwise
// (RFC 4511 §4.1.9); access rules may still have to hide it.
type Error struct {
	Code    Code
	Matched DN
	Message string
}

// Error returns the code's name and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Message
}

func refuse(code Code, message string) *Error {
	return &Error{Code: code, Message: message}
}
