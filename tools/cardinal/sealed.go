package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/scrypt"
)

// A sealed file is what backup writes: a header, then chunks of AES-256-GCM.
//
//	magic ‖ log2(N) ‖ salt (16)            N, r=8, p=1: scrypt (RFC 7914)
//	chunk*                                 sealedChunk octets and a tag each, the last one shorter or empty
//
// The key belongs to this file alone, since the salt is random, so a counter
// is a safe nonce. The nonce's last octet marks the last chunk and the header
// is authenticated with every chunk: what is cut, reordered or joined from two
// files does not open.
const (
	sealedMagic  = "cardinal sealed 1\n"
	sealedChunk  = 64 << 10
	sealedLogN   = 17 // 128 MiB, about half a second
	sealedMaxN   = 20 // what a file may ask of us: 1 GiB
	sealedSalt   = 16
	sealedHeader = len(sealedMagic) + 1 + sealedSalt
	sealedTag    = 16
)

var (
	errNotSealed   = errors.New("this is not a backup")
	errUnsealable  = errors.New("the passphrase is wrong, or the backup was changed")
	errSealedShort = errors.New("the backup is cut short, or was changed")
)

// sealer encrypts what is written to it. Close writes the last chunk; without
// it the file does not open.
type sealer struct {
	to     io.Writer
	aead   cipher.AEAD
	header []byte
	buffer []byte
	n      uint64
}

// newSealer begins a file. logN is the cost of guessing the passphrase: sealedLogN,
// less in tests.
func newSealer(to io.Writer, passphrase []byte, logN byte) (*sealer, error) {
	header := make([]byte, sealedHeader)
	copy(header, sealedMagic)
	header[len(sealedMagic)] = logN
	if _, err := rand.Read(header[len(sealedMagic)+1:]); err != nil {
		return nil, err
	}
	aead, err := sealedCipher(header, passphrase)
	if err != nil {
		return nil, err
	}
	_, err = to.Write(header)
	return &sealer{to: to, aead: aead, header: header}, err
}

func sealedCipher(header, passphrase []byte) (cipher.AEAD, error) {
	key, err := scrypt.Key(passphrase, header[len(sealedMagic)+1:], 1<<header[len(sealedMagic)], 8, 1, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealedNonce is the chunk's number and whether it is the last.
func sealedNonce(n uint64, last bool) []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:], n)
	if last {
		nonce[11] = 1
	}
	return nonce
}

func (s *sealer) Write(p []byte) (int, error) {
	written := len(p)
	for len(s.buffer)+len(p) > sealedChunk {
		take := sealedChunk - len(s.buffer)
		s.buffer = append(s.buffer, p[:take]...)
		p = p[take:]
		if err := s.flush(false); err != nil {
			return 0, err
		}
	}
	s.buffer = append(s.buffer, p...)
	return written, nil
}

func (s *sealer) flush(last bool) error {
	_, err := s.to.Write(s.aead.Seal(nil, sealedNonce(s.n, last), s.buffer, s.header))
	s.buffer = s.buffer[:0]
	s.n++
	return err
}

// Close writes what is left as the last chunk.
func (s *sealer) Close() error { return s.flush(true) }

// opener decrypts a sealed file, giving out nothing that was not
// authenticated. It ends with io.EOF only after the last chunk.
type opener struct {
	from   io.Reader
	aead   cipher.AEAD
	header []byte
	ahead  []byte // the chunk read, with one octet of the next when there is one
	plain  []byte
	n      uint64
	done   bool
}

func newOpener(from io.Reader, passphrase []byte) (*opener, error) {
	header := make([]byte, sealedHeader)
	if _, err := io.ReadFull(from, header); err != nil || !bytes.HasPrefix(header, []byte(sealedMagic)) {
		return nil, errNotSealed
	}
	if n := header[len(sealedMagic)]; n == 0 || n > sealedMaxN {
		return nil, fmt.Errorf("%w: scrypt cost 2^%d", errNotSealed, n)
	}
	aead, err := sealedCipher(header, passphrase)
	if err != nil {
		return nil, err
	}
	return &opener{from: from, aead: aead, header: header}, nil
}

func (o *opener) Read(p []byte) (int, error) {
	for len(o.plain) == 0 {
		if o.done {
			return 0, io.EOF
		}
		if err := o.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, o.plain)
	o.plain = o.plain[n:]
	return n, nil
}

// fill opens one more chunk. A chunk is the last when nothing follows it.
func (o *opener) fill() error {
	const whole = sealedChunk + sealedTag
	chunk := make([]byte, whole+1)
	have := copy(chunk, o.ahead)
	n, err := io.ReadFull(o.from, chunk[have:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	have += n
	last := have <= whole
	o.ahead = nil
	if !last {
		o.ahead = []byte{chunk[whole]}
		have = whole
	}
	o.plain, err = o.aead.Open(chunk[:0], sealedNonce(o.n, last), chunk[:have], o.header)
	if err != nil && o.n == 0 {
		return errUnsealable
	}
	if err != nil {
		return errSealedShort
	}
	o.n++
	o.done = last
	return nil
}
