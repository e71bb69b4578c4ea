package feed

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"cardinal/internal/journal"
)

// Snapshot describes a whole copy as of a position, cut into parts that are named by their hash, so that a new node need
// not go through all that ever happened. It travels signed (journal.SignedCheckpoint) by the key of the writer's server
// certificate.
type Snapshot struct {
	Epoch    journal.Epoch
	Position journal.Position
	Link     journal.Hash
	Time     time.Time // of the change at Position
	Kept     uint64    // changes kept from histories that a restore dropped
	Buckets  []SnapshotBucket
	Parts    []SnapshotPart // joined in this order, each once decompressed, they are the copy
}

// SnapshotBucket is one room's part of the copy. Digest is that of what copies agree on.
type SnapshotBucket struct {
	Name   string
	Layout uint32
	Digest journal.Hash
}

// SnapshotPart is a DEFLATE stream of Raw bytes that takes Size.
type SnapshotPart struct {
	Hash journal.Hash // of the stream
	Size uint64
	Raw  uint64
}

// Bounds of a manifest.
const (
	maxManifest    = 64 << 20
	maxPart        = 16 << 20
	maxRawPart     = 16 << 20
	maxBuckets     = 64
	maxChainLength = 8
)

const (
	manifestMagic = "cardinal snapshot 1\n"
	snapshotScope = "snapshot" // of the checkpoint that signs it
)

// ErrNotYet: the writer is making a snapshot; ask again soon.
var ErrNotYet = errors.New("the snapshot is being made")

func (s *Snapshot) append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(uint64(s.Epoch))
	e.AppendUint(uint64(s.Position))
	e.AppendHash(s.Link)
	e.AppendTime(s.Time)
	e.AppendUint(s.Kept)
	e.AppendUint(uint64(len(s.Buckets)))
	for _, x := range s.Buckets {
		e.AppendString(x.Name)
		e.AppendUint(uint64(x.Layout))
		e.AppendHash(x.Digest)
	}
	e.AppendUint(uint64(len(s.Parts)))
	for _, p := range s.Parts {
		e.AppendHash(p.Hash)
		e.AppendUint(p.Size)
		e.AppendUint(p.Raw)
	}
	return e.Bytes()
}

func parseSnapshot(b []byte) (Snapshot, error) {
	d := journal.NewDecoder(b)
	s := Snapshot{Epoch: journal.Epoch(d.Uint()), Position: journal.Position(d.Uint()), Link: d.Hash(), Time: d.Time(), Kept: d.Uint()}
	n := d.Count(34)
	if n > maxBuckets {
		d.Fail("too many buckets")
		n = 0
	}
	for range n {
		s.Buckets = append(s.Buckets, SnapshotBucket{Name: d.String(), Layout: uint32(d.UintMax(1<<32 - 1)), Digest: d.Hash()})
	}
	for range d.Count(34) {
		s.Parts = append(s.Parts, SnapshotPart{Hash: d.Hash(), Size: d.UintMax(maxPart), Raw: d.UintMax(maxRawPart)})
	}
	return s, d.End()
}

// Size is what all parts take on the way, and once decompressed.
func (s *Snapshot) Size() (size, raw uint64) {
	for _, p := range s.Parts {
		size, raw = size+p.Size, raw+p.Raw
	}
	return size, raw
}

// manifest is a snapshot's description with its signature and who made it.
type manifest struct {
	body       []byte
	checkpoint []byte
	chain      [][]byte // certificates, the signer's first
}

func (m *manifest) append(b []byte) []byte {
	e := journal.NewEncoder(append(b, manifestMagic...))
	e.AppendBytes(m.body)
	e.AppendBytes(m.checkpoint)
	e.AppendUint(uint64(len(m.chain)))
	for _, der := range m.chain {
		e.AppendBytes(der)
	}
	return e.Bytes()
}

func parseManifest(b []byte) (manifest, error) {
	d := journal.NewDecoder(b)
	if string(d.Fixed(len(manifestMagic))) != manifestMagic {
		d.Fail("not a snapshot's manifest")
	}
	m := manifest{body: d.Bytes(), checkpoint: d.Bytes()}
	n := d.Count(1)
	if n > maxChainLength {
		d.Fail("too many certificates")
		n = 0
	}
	for range n {
		m.chain = append(m.chain, d.Bytes())
	}
	return m, d.End()
}

// Sign gives the manifest of a snapshot, signed with a certificate's key.
func (s *Snapshot) Sign(with *tls.Certificate) ([]byte, error) {
	signer, ok := with.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("signing a snapshot: the key cannot sign")
	}
	m := manifest{body: s.append(nil), chain: with.Certificate}
	signed, err := journal.Checkpoint{Epoch: s.Epoch, Position: s.Position, Time: s.Time, Link: s.Link, Scope: snapshotScope, State: sha256.Sum256(m.body)}.Sign(signer)
	if err != nil {
		return nil, fmt.Errorf("signing a snapshot: %w", err)
	}
	m.checkpoint = signed.Append(nil)
	return m.append(nil), nil
}

// VerifySnapshot reads a manifest that was signed by a server of this name, as the roots vouch for it.
func VerifySnapshot(raw []byte, roots *x509.CertPool, host string, now time.Time) (Snapshot, error) {
	m, err := parseManifest(raw)
	if err != nil {
		return Snapshot{}, errors.Join(ErrUnreadable, err)
	}
	s, err := m.verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now, Intermediates: x509.NewCertPool()})
	if err != nil {
		return Snapshot{}, fmt.Errorf("verifying a snapshot: %w", err)
	}
	return s, nil
}

func (m *manifest) verify(o x509.VerifyOptions) (Snapshot, error) {
	s, err := parseSnapshot(m.body)
	signed, err2 := journal.ParseCheckpoint(m.checkpoint)
	if err = errors.Join(err, err2); err != nil {
		return s, errors.Join(ErrUnreadable, err)
	}
	var signer *x509.Certificate
	for i, der := range m.chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return s, errors.Join(ErrUnreadable, err)
		}
		if i == 0 {
			signer = c
		}
		o.Intermediates.AddCert(c)
	}
	if signer == nil {
		return s, fmt.Errorf("%w: nobody signed it", ErrUnreadable)
	}
	if _, err := signer.Verify(o); err != nil { // for server authentication, as x509 has it by default
		return s, err
	}
	if err := signed.Verify(signer.PublicKey); err != nil {
		return s, err
	}
	if signed.Scope != snapshotScope || signed.State != journal.Hash(sha256.Sum256(m.body)) || signed.Position != s.Position || signed.Link != s.Link || signed.Epoch != s.Epoch {
		return s, fmt.Errorf("%w: the signature is of another statement", journal.ErrBadSignature)
	}
	return s, nil
}

// Snapshots are what a writer has to give to new nodes.
type Snapshots interface {
	// Manifest gives the manifest of a recent snapshot for nodes of a scope. ErrNotYet while one is made,
	// journal.ErrNoContent when following the journal from its beginning is as good.
	Manifest(ctx context.Context, scope Scope) ([]byte, error)
	// Part opens a part; journal.ErrNoContent when it is there no more. The caller closes it.
	Part(scope Scope, hash journal.Hash) (io.ReadCloser, error)
}

func (s *Server) manifest(w http.ResponseWriter, r *http.Request, node Node) {
	if s.config.Snapshots == nil {
		s.refuse(w, r, journal.ErrNoContent)
		return
	}
	raw, err := s.config.Snapshots.Manifest(r.Context(), node.Scope)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(raw)
}

func (s *Server) part(w http.ResponseWriter, r *http.Request, node Node) {
	hash, err := journal.ParseHash(r.PathValue("hash"))
	if err != nil || s.config.Snapshots == nil {
		s.refuse(w, r, errors.Join(journal.ErrNoContent, err))
		return
	}
	part, err := s.config.Snapshots.Part(node.Scope, hash)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer part.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	s.Send(w, r, part)
}

// SnapshotManifest asks for the manifest of a snapshot for this node, to be verified. ErrNotYet, journal.ErrNoContent.
func (c *Client) SnapshotManifest(ctx context.Context) ([]byte, error) {
	return c.Get(ctx, "/v1/snapshot", maxManifest)
}

// SnapshotPart opens a part; what is read is checked against its hash. journal.ErrNoContent when it is there no more.
func (c *Client) SnapshotPart(ctx context.Context, h journal.Hash) (io.ReadCloser, error) {
	r, err := c.open(ctx, "/v1/snapshot/"+h.String(), 0)
	if err != nil {
		return nil, err
	}
	return newCheckedReader(r, h), nil
}

// Host is the name of the writer that is asked, as its certificate must have it.
func (c *Client) Host() string {
	u, err := url.Parse(c.config.URLs[c.at()])
	if err != nil {
		return ""
	}
	return u.Hostname()
}
