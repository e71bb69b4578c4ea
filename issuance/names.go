package issuance

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of what a person's record holds, in characters. A name goes into
// givenName and surname of a certificate, whose bound is ub-common-name-length
// (RFC 5280 appendix A.1).
const (
	nameMax  = 64
	titleMax = 35
	mailMax  = 254 // RFC 5321 §4.5.3.1.3, without the angle brackets
	phoneMax = 35
	textMax  = 500
)

// mostNamesakes is how many people one request may be told apart from.
const mostNamesakes = 16

// tidy puts text into the one form it is stored and certified in: NFC, single
// spaces, none at the ends.
func tidy(text string) string {
	return norm.NFC.String(strings.Join(strings.Fields(text), " "))
}

// checkName judges a tidied name.
func checkName(field, name string) error {
	if name == "" {
		return inputField.in(field, "is empty")
	}
	if err := checkText(field, name, nameMax); err != nil {
		return err
	}
	if !strings.ContainsFunc(name, unicode.IsLetter) {
		return inputField.in(field, "has no letter")
	}
	return nil
}

// checkText judges optional tidied text of at most limit characters.
func checkText(field, text string, limit int) error {
	if !utf8.ValidString(text) {
		return inputField.in(field, "is not UTF-8")
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return inputField.in(field, "%d characters, at most %d", n, limit)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return inputField.in(field, "has the character %U", r)
		}
	}
	return nil
}

// checkCount judges how many values a list holds.
func checkCount(field string, n, most int) error {
	if n > most {
		return inputField.in(field, "%d values, at most %d", n, most)
	}
	return nil
}

// checkAddress judges a mail address or user principal name: one bare
// addr-spec (RFC 5322 §3.4.1), nothing around it, in ASCII. An rfc822Name takes
// nothing else (RFC 5280 §4.2.1.6), and an address beyond it could look or fold
// like another's without the databases finding them equal.
func checkAddress(field, text string) error {
	if text == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(text)
	beyond := strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
	if err != nil || parsed.Address != text || len(text) > mailMax || beyond {
		return inputField.in(field, "%q is no address of the form local@domain in ASCII", text)
	}
	return nil
}

// nameKey finds people who may be the same one: family name, given names and
// date of birth without case, accents, spaces and hyphens.
func nameKey(family, given, birth string) string {
	return lettersAndDigits(family) + "|" + lettersAndDigits(given) + "|" + birth
}
