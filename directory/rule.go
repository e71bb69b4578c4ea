package directory

import (
	"bytes"
	"errors"
)

// RuleKind says what a matching rule is for.
type RuleKind uint8

// The kinds (RFC 4517 §4.2).
const (
	EqualityRule RuleKind = iota
	OrderingRule
	SubstringsRule
)

// MatchingRule is one matching rule. Values are brought to a normal form once
// and then compared:
//
//   - equality: the value matches if its form equals the assertion's form;
//   - ordering: bytes.Compare of the two forms is the order of the values;
//   - substrings: forms are cut and searched, see Substring.
//
// A rule for which that is not enough (certificateMatch, the bit rules) has a
// match function and no form; Indexable says so.
type MatchingRule struct {
	OID    string
	Name   string
	Kind   RuleKind
	Syntax string // of the assertion

	value     func([]byte) ([]byte, error)
	assertion func([]byte) ([]byte, error)
	match     func(value, assertion []byte) Truth
}

// Normalize returns the normal form of an attribute value. The form may share
// v's memory.
func (r *MatchingRule) Normalize(v []byte) ([]byte, error) { return r.value(v) }

// NormalizeAssertion returns the normal form of an assertion value, which for
// the certificate and first-component rules has another syntax than the
// attribute. The form may share v's memory.
func (r *MatchingRule) NormalizeAssertion(v []byte) ([]byte, error) {
	if r.assertion != nil {
		return r.assertion(v)
	}
	return r.value(v)
}

// Indexable reports whether comparing normal forms decides the rule.
func (r *MatchingRule) Indexable() bool { return r.match == nil }

// Matches decides the rule for two normal forms; for an ordering rule whether
// the value is less than the assertion (RFC 4517 §4.2.16).
func (r *MatchingRule) Matches(value, assertion []byte) Truth {
	switch {
	case r.match != nil:
		return r.match(value, assertion)
	case r.Kind == OrderingRule:
		return truth(bytes.Compare(value, assertion) < 0)
	}
	return truth(bytes.Equal(value, assertion))
}

func sameBytes(v []byte) ([]byte, error) { return v, nil }

// checked makes a form function that first asks a syntax.
func checked(check func([]byte) error, form func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(v []byte) ([]byte, error) {
		if err := check(v); err != nil {
			return nil, err
		}
		return form(v)
	}
}

func foldCase(v []byte) ([]byte, error) { return prepareString(v, true) }
func keepCase(v []byte) ([]byte, error) { return prepareString(v, false) }

func foldIA5(v []byte) ([]byte, error) {
	if err := checkIA5(v); err != nil {
		return nil, err
	}
	return prepareString(v, true)
}

func keepIA5(v []byte) ([]byte, error) {
	if err := checkIA5(v); err != nil {
		return nil, err
	}
	return prepareString(v, false)
}

// numericForm removes all spaces (RFC 4518 §2.6.2).
func numericForm(v []byte) ([]byte, error) { return withoutBytes(v, " "), nil }

// telephoneForm folds case and removes spaces and hyphens (RFC 4518 §2.6.3).
func telephoneForm(v []byte) ([]byte, error) {
	p, err := prepareString(v, true)
	if err != nil {
		return nil, err
	}
	return withoutBytes(p, " -"), nil
}

func lowerForm(v []byte) ([]byte, error) { return bytes.ToLower(v), nil }

// integerForm orders integers of any size by bytes: a sign, the number of
// digits, the digits; for negative numbers all but the sign inverted.
func integerForm(v []byte) ([]byte, error) {
	digits, negative := v, false
	if len(v) > 0 && v[0] == '-' {
		digits, negative = v[1:], true
	}
	for len(digits) > 1 && digits[0] == '0' { // seen from clients; slapd takes them in assertions
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > maxInteger {
		return nil, errors.New("not an integer")
	}
	out := make([]byte, 0, 3+(len(digits)+1)/2)
	out = append(out, 'p', byte(len(digits)>>8), byte(len(digits)))
	for i := 0; i < len(digits); i += 2 {
		lo := byte('0')
		if i+1 < len(digits) {
			lo = digits[i+1]
		}
		if digits[i] < '0' || digits[i] > '9' || lo < '0' || lo > '9' {
			return nil, errors.New("not an integer")
		}
		out = append(out, (digits[i]-'0')<<4|(lo-'0'))
	}
	if negative && (len(digits) > 1 || digits[0] != '0') {
		out[0] = 'n'
		for i := range out[1:] {
			out[i+1] = ^out[i+1]
		}
	}
	return out, nil
}

func timeForm(v []byte) ([]byte, error) {
	t, err := generalizedTime(v)
	if err != nil {
		return nil, err
	}
	b := t.AppendFormat(nil, "20060102150405")
	if ns := t.Nanosecond(); ns != 0 {
		b = t.AppendFormat(b, ".999999999")
	}
	return b, nil
}

func uuidForm(v []byte) ([]byte, error) {
	if len(v) == 16 { // some clients assert the raw octets, as slapd allows
		return v, nil
	}
	u, ok := parseUUID(v)
	if !ok {
		return nil, errors.New("not a UUID")
	}
	return u[:], nil
}

// listForm prepares each line of a postal address; a zero byte parts lines.
func listForm(fold bool) func([]byte) ([]byte, error) {
	return func(v []byte) ([]byte, error) {
		lines, err := postalLines(v)
		if err != nil {
			return nil, err
		}
		var out []byte
		for i, l := range lines {
			p, err := prepareString(l, fold)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				out = append(out, 0)
			}
			out = append(out, p...)
		}
		return out, nil
	}
}

// bitForm: RFC 4517 §4.2.1 compares every bit for attributes without named
// bits, so the text is the form.
func bitForm(v []byte) ([]byte, error) { return v, nil }

// wordMatch finds the assertion among the words of a value (RFC 4517 §4.2.33);
// keywordMatch is the same here, key words being words (§4.2.21).
func wordMatch(value, assertion []byte) Truth {
	isWord := func(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' || c >= 0x80 || c == '_' }
	for start := 0; start < len(value); {
		if !isWord(value[start]) {
			start++
			continue
		}
		end := start
		for end < len(value) && isWord(value[end]) {
			end++
		}
		if bytes.Equal(value[start:end], assertion) {
			return True
		}
		start = end
	}
	return truth(bytes.Equal(value, assertion))
}

func bitsMatch(all bool) func(value, assertion []byte) Truth {
	return func(value, assertion []byte) Truth {
		v, ok1 := smallInteger(value)
		a, ok2 := smallInteger(assertion)
		if !ok1 || !ok2 {
			return Undefined
		}
		if all {
			return truth(v&a == a)
		}
		return truth(v&a != 0)
	}
}

func smallInteger(v []byte) (int64, bool) {
	n, negative := int64(0), false
	for i, c := range v {
		if i == 0 && c == '-' && len(v) > 1 {
			negative = true
			continue
		}
		if c < '0' || c > '9' || len(v) > 19 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, len(v) > 0
}
