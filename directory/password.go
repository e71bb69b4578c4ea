package directory

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id's cost for new passwords: 19 MiB, 2 passes, 1 lane, as OWASP's
// password storage sheet gives for Argon2id.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonSalt   = 16
	argonKey    = 32
)

// Bounds on what a stored verifier may ask for, when it is stored and when it
// is checked, so that one cannot stop a server: whoever may write his own
// password would choose what each bind costs. Both choices of RFC 9106 §4 for
// ordinary machines and all of OWASP's lie within: 64 MiB with 3 passes and 4
// lanes, 46 MiB with one. The dearest takes about a quarter of a second.
const (
	maxArgonMemory = 128 << 10 // KiB
	maxArgonTime   = 32
	maxArgonWork   = 256 << 10 // KiB times passes
	maxArgonLanes  = 16
	maxArgonSalt   = 64
)

// ErrPasswordScheme: a stored verifier is of a scheme that cannot be checked.
var ErrPasswordScheme = errors.New("password scheme not supported")

// HashPassword returns a verifier {ARGON2}$argon2id$… with a new random salt.
// It costs about 20 ms and 19 MiB.
func HashPassword(password []byte) []byte {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey(password, salt, argonTime, argonMemory, 1, argonKey)
	enc := base64.RawStdEncoding
	return fmt.Appendf(nil, "{ARGON2}$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s",
		argon2.Version, argonMemory, argonTime, enc.EncodeToString(salt), enc.EncodeToString(key))
}

// scheme returns the name in "{NAME}rest", "" when there is none.
func scheme(stored []byte) (name string, rest []byte) {
	if len(stored) < 3 || stored[0] != '{' {
		return "", stored
	}
	end := bytes.IndexByte(stored, '}')
	if end < 2 {
		return "", stored
	}
	return strings.ToUpper(string(stored[1:end])), stored[end+1:]
}

type digest struct {
	sum    func() hash.Hash
	salted bool
}

func digestOf(name string) (digest, bool) {
	switch name {
	case "SHA":
		return digest{sha1.New, false}, true
	case "SSHA":
		return digest{sha1.New, true}, true
	case "SHA256":
		return digest{sha256.New, false}, true
	case "SSHA256":
		return digest{sha256.New, true}, true
	case "SHA384":
		return digest{sha512.New384, false}, true
	case "SSHA384":
		return digest{sha512.New384, true}, true
	case "SHA512":
		return digest{sha512.New, false}, true
	case "SSHA512":
		return digest{sha512.New, true}, true
	case "MD5":
		return digest{md5.New, false}, true
	case "SMD5":
		return digest{md5.New, true}, true
	}
	return digest{}, false
}

// IsVerifier reports whether a userPassword value is a verifier of a scheme
// that can be checked, rather than a password.
func IsVerifier(value []byte) bool {
	name, rest := scheme(value)
	if name == "ARGON2" {
		_, err := parseArgon(rest)
		return err == nil
	}
	d, ok := digestOf(name)
	if !ok {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(string(rest))
	n := d.sum().Size()
	return err == nil && (len(raw) == n || d.salted && len(raw) > n)
}

// IsSlowVerifier reports whether checking a password against a stored verifier
// costs time and memory on purpose, and must be bounded.
func IsSlowVerifier(stored []byte) bool {
	name, _ := scheme(stored)
	return name == "ARGON2"
}

// SealPassword returns value if it is a verifier, else HashPassword of it.
func SealPassword(value []byte) []byte {
	if IsVerifier(value) {
		return value
	}
	return HashPassword(value)
}

// CheckPassword reports whether the password belongs to a stored verifier, in
// time that does not depend on where they differ. ErrPasswordScheme if the
// verifier is of no known scheme; a value without a scheme never matches.
func CheckPassword(stored, password []byte) (bool, error) {
	name, rest := scheme(stored)
	if name == "ARGON2" {
		a, err := parseArgon(rest)
		if err != nil {
			return false, err
		}
		return subtle.ConstantTimeCompare(a.derive(password), a.key) == 1, nil
	}
	d, ok := digestOf(name)
	if !ok {
		return false, ErrPasswordScheme
	}
	raw, err := base64.StdEncoding.DecodeString(string(rest))
	h := d.sum()
	if err != nil || len(raw) < h.Size() || !d.salted && len(raw) != h.Size() {
		return false, ErrPasswordScheme
	}
	h.Write(password)
	h.Write(raw[h.Size():])
	return subtle.ConstantTimeCompare(h.Sum(nil), raw[:h.Size()]) == 1, nil
}

type argon struct {
	id           bool
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

// parseArgon reads the PHC form $argon2id$v=19$m=…,t=…,p=…$salt$key.
func parseArgon(s []byte) (a argon, err error) {
	parts := strings.Split(string(s), "$")
	if len(parts) != 6 || parts[0] != "" || parts[2] != "v=19" {
		return a, ErrPasswordScheme
	}
	var lanes uint32
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &lanes); err != nil {
		return a, ErrPasswordScheme
	}
	a.id = parts[1] == "argon2id"
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if errors.Join(err1, err2) != nil || !a.id && parts[1] != "argon2i" || a.time == 0 || lanes == 0 ||
		a.memory > maxArgonMemory || a.time > maxArgonTime || a.memory*a.time > maxArgonWork || lanes > maxArgonLanes ||
		len(salt) > maxArgonSalt || len(key) < 16 || len(key) > 128 {
		return a, ErrPasswordScheme
	}
	a.lanes, a.salt, a.key = uint8(lanes), salt, key
	return a, nil
}

func (a *argon) derive(password []byte) []byte {
	if a.id {
		return argon2.IDKey(password, a.salt, a.time, a.memory, a.lanes, uint32(len(a.key)))
	}
	return argon2.Key(password, a.salt, a.time, a.memory, a.lanes, uint32(len(a.key)))
}
