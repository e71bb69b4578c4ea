package issuance

import "fmt"

// Kind sorts refusals by what the caller can do about them.
type Kind uint8

// The kinds of refusal.
const (
	KindInput    Kind = iota // the request itself is wrong; Field says where
	KindUnknown              // there is no such person, case, card or certificate
	KindOperator             // the operator's certificate or card does not count now
	KindRight                // the operator may not do this
	KindRule                 // a rule about the subject is not met
	KindConflict             // the subject's state, or another request, stands against it
)

// Refusal is the error of everything the desk turns down: the rule by its
// stable name, the clause it rests on, what was found, and the input at fault
// as a JSON path. It holds no secret and no document number.
type Refusal struct {
	Kind   Kind
	Rule   string
	Clause string
	Detail string
	Field  string
}

// Error gives rule and finding in one line.
func (r *Refusal) Error() string {
	if r.Field != "" {
		return fmt.Sprintf("refused by %s: %s: %s", r.Rule, r.Field, r.Detail)
	}
	return fmt.Sprintf("refused by %s: %s", r.Rule, r.Detail)
}

// rule is one reason to say no; rules.go lists them all.
type rule struct {
	name   string
	kind   Kind
	clause string
}

func (r rule) says(format string, args ...any) *Refusal {
	return &Refusal{Kind: r.kind, Rule: r.name, Clause: r.clause, Detail: fmt.Sprintf(format, args...)}
}

func (r rule) in(field, format string, args ...any) *Refusal {
	no := r.says(format, args...)
	no.Field = field
	return no
}
