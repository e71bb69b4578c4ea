package directory

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// checkDER asks only for one definite-length SEQUENCE.
func checkDER(v []byte) error {
	in := cryptobyte.String(v)
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !in.Empty() {
		return errors.New("not one DER SEQUENCE")
	}
	return nil
}

func checkUUID(v []byte) error {
	if _, ok := parseUUID(v); !ok {
		return errors.New("not a UUID")
	}
	return nil
}

// checkCSN asks for slapd's form: time with microseconds, count, server, mod.
func checkCSN(v []byte) error {
	parts := strings.Split(string(v), "#")
	if len(parts) != 4 || len(parts[0]) < 15 || len(parts[0]) > 22 ||
		len(parts[1]) != 6 || len(parts[2]) < 2 || len(parts[2]) > 3 || len(parts[3]) != 6 {
		return errors.New("not a change sequence number")
	}
	for _, p := range parts[1:] {
		for i := range len(p) {
			if !isHex(p[i]) {
				return errors.New("not a change sequence number")
			}
		}
	}
	return checkGeneralizedTime([]byte(parts[0]))
}

func parseUUID(v []byte) (u [16]byte, ok bool) {
	if len(v) != 36 {
		return u, false
	}
	n := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if v[i] != '-' {
				return u, false
			}
			i++
			continue
		}
		if !isHex(v[i]) || !isHex(v[i+1]) {
			return u, false
		}
		u[n] = unhex(v[i])<<4 | unhex(v[i+1])
		n++
		i += 2
	}
	return u, true
}

// ParseUUID reads the RFC 4122 text form of an entryUUID (RFC 4530).
func ParseUUID(v []byte) (u [16]byte, ok bool) { return parseUUID(v) }

// FormatUUID returns the RFC 4122 text form in lower case.
func FormatUUID(u [16]byte) []byte {
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// generalizedTime reads RFC 4517 §3.3.13: hours at least, then minutes and
// seconds, a fraction of the last, and Z or an offset.
func generalizedTime(v []byte) (time.Time, error) {
	bad := errors.New("not a Generalized Time")
	digits := 0
	for digits < len(v) && v[digits] >= '0' && v[digits] <= '9' {
		digits++
	}
	if digits != 10 && digits != 12 && digits != 14 {
		return time.Time{}, bad
	}
	unit := map[int]time.Duration{10: time.Hour, 12: time.Minute, 14: time.Second}[digits]
	text := string(v[:digits]) + "0000"[:14-digits]
	second60 := strings.HasSuffix(text, "60") && digits == 14 // a leap second is the next second
	if second60 {
		text = text[:12] + "59"
	}
	t, err := time.Parse("20060102150405", text)
	if err != nil {
		return time.Time{}, bad
	}
	if second60 {
		t = t.Add(time.Second)
	}
	rest := v[digits:]
	if len(rest) > 0 && (rest[0] == '.' || rest[0] == ',') {
		n := 1
		scale := unit
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			scale /= 10
			t = t.Add(time.Duration(rest[n]-'0') * scale)
			n++
		}
		if n == 1 {
			return time.Time{}, bad
		}
		rest = rest[n:]
	}
	offset, ok := zoneOffset(rest)
	if !ok {
		return time.Time{}, bad
	}
	return t.Add(-offset), nil
}

func zoneOffset(v []byte) (time.Duration, bool) {
	if len(v) == 1 && v[0] == 'Z' {
		return 0, true
	}
	if len(v) != 3 && len(v) != 5 || v[0] != '+' && v[0] != '-' {
		return 0, false
	}
	n := 0
	for _, c := range v[1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if len(v) == 3 {
		n *= 100
	}
	if n/100 > 23 || n%100 > 59 {
		return 0, false
	}
	d := time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute
	if v[0] == '-' {
		d = -d
	}
	return d, true
}

// ParseTime reads a Generalized Time (RFC 4517 §3.3.13) and returns it in UTC.
func ParseTime(v []byte) (time.Time, error) { return generalizedTime(v) }

// FormatTime writes a Generalized Time in UTC to the second, as timestamps of
// entries are kept.
func FormatTime(t time.Time) []byte {
	return t.UTC().AppendFormat(nil, "20060102150405Z")
}

func checkGeneralizedTime(v []byte) error {
	_, err := generalizedTime(v)
	return err
}

func checkUTCTime(v []byte) error {
	for _, layout := range []string{"0601021504Z", "060102150405Z", "0601021504-0700", "060102150405-0700"} {
		if _, err := time.Parse(layout, string(v)); err == nil {
			return nil
		}
	}
	return errors.New("not a UTC Time")
}

func checkPostalAddress(v []byte) error {
	if err := checkText(v); err != nil {
		return err
	}
	_, err := postalLines(v)
	return err
}

// postalLines cuts at $ and undoes \24 and \5C (RFC 4517 §3.3.28).
func postalLines(v []byte) ([][]byte, error) {
	var lines [][]byte
	for line := range bytes.SplitSeq(v, []byte{'$'}) {
		text, ok := unescapeHex(line)
		if !ok {
			return nil, errors.New("bad escape in a postal address")
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// unescapeHex undoes \XX; p itself when there is none.
func unescapeHex(p []byte) ([]byte, bool) {
	if bytes.IndexByte(p, '\\') < 0 {
		return p, true
	}
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		if p[i] != '\\' {
			out = append(out, p[i])
			continue
		}
		if i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2]) {
			return nil, false
		}
		out = append(out, unhex(p[i+1])<<4|unhex(p[i+2]))
		i += 2
	}
	return out, true
}

func checkFacsimile(v []byte) error {
	number, _, _ := bytes.Cut(v, []byte{'$'})
	return checkPrintable(number)
}

func checkOtherMailbox(v []byte) error {
	kind, box, ok := bytes.Cut(v, []byte{'$'})
	if !ok {
		return errors.New("no $ between type and mailbox")
	}
	if err := checkPrintable(kind); err != nil {
		return err
	}
	return checkIA5(box)
}

func checkTelex(v []byte) error {
	parts := bytes.Split(v, []byte{'$'})
	if len(parts) != 3 {
		return errors.New("not number$country$answerback")
	}
	for _, p := range parts {
		if err := checkPrintable(p); err != nil {
			return err
		}
	}
	return nil
}

func checkTeletex(v []byte) error {
	id, _, _ := bytes.Cut(v, []byte{'$'})
	return checkPrintable(id)
}

func checkDeliveryMethod(v []byte) error {
	known := []string{"any", "mhs", "physical", "telex", "teletex", "g3fax", "g4fax", "ia5", "videotex", "telephone"}
	for p := range strings.SplitSeq(string(v), "$") {
		found := false
		for _, k := range known {
			found = found || strings.TrimSpace(p) == k
		}
		if !found {
			return fmt.Errorf("unknown delivery method %q", strings.TrimSpace(p))
		}
	}
	return nil
}

func checkSubstringAssertion(v []byte) error {
	if err := checkText(v); err != nil {
		return err
	}
	if bytes.IndexByte(v, '*') < 0 {
		return errors.New("no * in a substring assertion")
	}
	return nil
}
