package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/scrypt"
)

// The cost of a guess. OpenSSL refuses scrypt above 32 MiB, which 2¹⁵ × 8 just
// passes, hence r = 7: 28 MiB and about 0.1 s.
const (
	scryptN = 1 << 15
	scryptR = 7
	scryptP = 1
)

// What a file may ask of us, and the least it must ask of a guesser.
const (
	minScryptN      = 1 << 14 // openssl pkcs8 -topk8 -scrypt
	maxScryptN      = 1 << 20
	maxScryptP      = 16
	maxScryptMemory = 256 << 20
	maxSalt         = 1 << 10
)

// errCost says that the file asks for less protection or more memory than we
// accept.
var errCost = errors.New("scrypt parameters out of range")

// The identifiers, as the contents of their encodings.
func oidPBES2() []byte  { return []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d} } // 1.2.840.113549.1.5.13
func oidScrypt() []byte { return []byte{0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b} } // 1.3.6.1.4.1.11591.4.11
func oidAES256CBC() []byte {
	return []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a} // 2.16.840.1.101.3.4.1.42
}

// lock is how a plaintext was encrypted.
type lock struct {
	salt    []byte
	n, r, p int
	iv      []byte
}

func (l lock) cipher(pass []byte) (cipher.Block, error) {
	key, err := scrypt.Key(pass, l.salt, l.n, l.r, l.p, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aes.NewCipher(key)
}

// sealPKCS8 gives the EncryptedPrivateKeyInfo (RFC 5958 §3) of a PrivateKeyInfo.
func sealPKCS8(plain, pass []byte) ([]byte, error) {
	if len(pass) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	l := lock{salt: make([]byte, 16), n: scryptN, r: scryptR, p: scryptP, iv: make([]byte, aes.BlockSize)}
	rand.Read(l.salt) // crypto/rand.Read never fails
	rand.Read(l.iv)
	block, err := l.cipher(pass)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	data := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, l.iv).CryptBlocks(data, data)
	return l.encode(data)
}

func (l lock) encode(data []byte) ([]byte, error) {
	sequence := func(fill ...func(b *cryptobyte.Builder)) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, f := range fill {
					f(b)
				}
			})
		}
	}
	element := func(tag cbasn1.Tag, content []byte) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
		}
	}
	number := func(n int) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(n)) }
	}
	var b cryptobyte.Builder
	sequence(
		sequence(element(cbasn1.OBJECT_IDENTIFIER, oidPBES2()), sequence(
			sequence(element(cbasn1.OBJECT_IDENTIFIER, oidScrypt()), sequence(
				element(cbasn1.OCTET_STRING, l.salt), number(l.n), number(l.r), number(l.p), number(32))),
			sequence(element(cbasn1.OBJECT_IDENTIFIER, oidAES256CBC()), element(cbasn1.OCTET_STRING, l.iv)))),
		element(cbasn1.OCTET_STRING, data),
	)(&b)
	return b.Bytes()
}

// openPKCS8 is the way back. The caller clears what it gets.
func openPKCS8(der, pass []byte) ([]byte, error) {
	l, data, err := parsePKCS8(der)
	if err != nil {
		return nil, err
	}
	block, err := l.cipher(pass)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, l.iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, ErrPassphrase
	}
	tail := bytes.Repeat([]byte{byte(pad)}, pad)
	if subtle.ConstantTimeCompare(plain[len(plain)-pad:], tail) != 1 {
		return nil, ErrPassphrase
	}
	return plain[:len(plain)-pad], nil
}

func parsePKCS8(der []byte) (lock, []byte, error) {
	bad := fmt.Errorf("%w: not PKCS#8 with PBES2, scrypt and AES-256-CBC", ErrPassphrase)
	in := cryptobyte.String(der)
	var outer, algorithm, scheme, kdf, enc, data cryptobyte.String
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() ||
		!outer.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!outer.ReadASN1(&data, cbasn1.OCTET_STRING) || !outer.Empty() ||
		!readOID(&algorithm, oidPBES2()) ||
		!algorithm.ReadASN1(&scheme, cbasn1.SEQUENCE) || !algorithm.Empty() ||
		!scheme.ReadASN1(&kdf, cbasn1.SEQUENCE) ||
		!scheme.ReadASN1(&enc, cbasn1.SEQUENCE) || !scheme.Empty() {
		return lock{}, nil, bad
	}
	var l lock
	if !l.readKDF(kdf) || !readOID(&enc, oidAES256CBC()) ||
		!enc.ReadASN1Bytes(&l.iv, cbasn1.OCTET_STRING) || !enc.Empty() ||
		len(l.iv) != aes.BlockSize || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return lock{}, nil, bad
	}
	if l.n < minScryptN || l.n > maxScryptN || l.n&(l.n-1) != 0 || l.r < 1 || l.r > maxScryptMemory/128/l.n ||
		l.p < 1 || l.p > maxScryptP || len(l.salt) < 8 || len(l.salt) > maxSalt {
		return lock{}, nil, errCost
	}
	return l, data, nil
}

func (l *lock) readKDF(kdf cryptobyte.String) bool {
	var params cryptobyte.String
	if !readOID(&kdf, oidScrypt()) || !kdf.ReadASN1(&params, cbasn1.SEQUENCE) || !kdf.Empty() ||
		!params.ReadASN1Bytes(&l.salt, cbasn1.OCTET_STRING) ||
		!params.ReadASN1Integer(&l.n) || !params.ReadASN1Integer(&l.r) || !params.ReadASN1Integer(&l.p) {
		return false
	}
	if params.Empty() {
		return true
	}
	var length int // keyLength is optional (RFC 7914 §7)
	return params.ReadASN1Integer(&length) && length == 32 && params.Empty()
}

func readOID(in *cryptobyte.String, want []byte) bool {
	var oid cryptobyte.String
	return in.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) && bytes.Equal(oid, want)
}
